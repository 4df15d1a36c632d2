"""Whether this process takes one more association: one object, shared by all relays of a process, on both sides."""

from collections.abc import Callable
from typing import Final

from dimse_proxy.proxy.refusals import RefusalCode, Refused


class Admission:
    """Counts the associations of a process against its limit."""

    def __init__(self, limit: int, *, changed: Callable[[], None] = lambda: None) -> None:
        self.limit: Final = limit
        """Associations at the same time; 0 for no limit."""
        self.active = 0
        self.is_shutting_down = False
        self.changed = changed
        """Called after each change of `active`."""

    def enter(self) -> None:
        """One more association."""
        self.active += 1
        self.changed()

    def leave(self) -> None:
        """One association fewer."""
        self.active -= 1
        self.changed()

    def refusal(self) -> Refused | None:
        """Why one more is not taken, None if it is."""
        if self.is_shutting_down:
            return Refused(code=RefusalCode.SHUTTING_DOWN, text="the proxy is shutting down")
        if self.limit and self.active >= self.limit:
            return Refused(
                code=RefusalCode.LIMIT,
                text=f"the limit of {self.limit} associations (DIMSE_MAX_ASSOCIATIONS) is reached",
            )
        return None
