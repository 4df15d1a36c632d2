"""The tunnel, sans-I/O: presence, frames and sessions, each session one reliable pipe of bytes each way.

What does not belong here: DICOM (a session carries bytes), NATS connections, clocks.
"""
