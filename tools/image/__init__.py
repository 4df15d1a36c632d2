"""Runs the steps of the Dockerfile where no engine is at hand.

`dockerfile` reads it, `roots` makes Debian systems by debootstrap, `steps` carries the instructions out. It is for
tests: there are no layers, and no instructions but those that the Dockerfile uses.
"""
