"""DIMSE Proxy: carries DICOM associations between two networks over NATS.

The folders are the architecture, lowest first: `upper_layer`, `dimse` and `tunnel` are the cores (bytes and time
in, bytes and events out, no input or output of their own); `transports` moves bytes; `proxy` joins an association
to a session; `config` and `observability` serve them; `service` wires one process; `cli` is what a person starts.
`docs/architecture.md` tells the same at more length.
"""

__version__ = "0.1.0"
