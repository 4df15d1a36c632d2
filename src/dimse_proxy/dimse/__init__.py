"""DIMSE (PS3.7), sans-I/O: command sets, messages seen in passing, status classes, the rewriting of commands.

What does not belong here: data sets (nothing in this package reads one), associations, and policy.
"""
