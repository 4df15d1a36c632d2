"""Bytes in and out, and nothing else: TCP streams, the NATS connection, an in-memory pair for tests.

What does not belong here: the meaning of the bytes. This is the one package that imports `nats`.
"""
