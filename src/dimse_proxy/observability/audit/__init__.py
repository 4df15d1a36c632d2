"""The audit trail: messages of PS3.15 A.5 about what passes here, sent by syslog (A.6, A.7) or written to a file.

It subscribes to `proxy.hooks` as everything in `observability` does. Nothing of it may hold an association up, and
nothing that identifies a patient leaves it another way than as an audit message.
"""
