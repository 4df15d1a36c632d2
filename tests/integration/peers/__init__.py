"""Real peers for the integration tests: nats-server, pairs of proxies, DCMTK, Orthanc, pynetdicom.

Nothing here asserts what a proxy should do; that is the tests' part. Every child process is ended by its own id,
listens on the loopback interface only and writes into the folder that it is given.
"""
