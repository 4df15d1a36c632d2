"""Store and forward without I/O: what is kept in JetStream and how, and an acceptor and a requestor of C-STORE.

Bytes, records and time come in, bytes, records and verdicts go out. What does not belong here: sockets, NATS, tasks
(`proxy/store_and_forward`), and which associations there are at all. Nothing here is loaded unless something is queued.
"""
