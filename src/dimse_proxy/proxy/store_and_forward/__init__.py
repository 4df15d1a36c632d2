"""The drivers of store and forward: JetStream on one side, the relays of both sides on the other, tasks in between.

Imported only where something is queued. What is kept and what an answer means is decided in `queueing/`, who may
associate and under which names in the relays, as ever. What does not belong here: making the streams' connection and
reading settings (`dimse_proxy.queues`).
"""
