"""How a step of the demonstration fails: one sentence for a person."""

from dimse_proxy.errors import DimseProxyError


class StepFailed(DimseProxyError):
    """A step did not do what it is there to show; the message says what happened instead."""
