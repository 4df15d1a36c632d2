"""The DICOM Upper Layer (PS3.8), sans-I/O: PDUs, items, codec, negotiation, the association state machine.

What does not belong here: sockets, clocks, tasks, DIMSE commands (`dimse`), and who may talk to whom (`proxy`).
"""
