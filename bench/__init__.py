"""The benchmark: contenders, work loads, measurement and report. `make bench` runs it; nothing of it is shipped.

What is measured runs in processes of its own, with the peers of the integration tests where they fit; this package
starts them, lets them work in turns, and writes down what it cost.
"""
