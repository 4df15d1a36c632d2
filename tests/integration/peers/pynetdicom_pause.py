"""Makes pynetdicom's pause of an association's reactor reliable; importing this module is enough.

Before it sends a request, pynetdicom (3.0) clears the event at which the reactor thread stops, and waits until
`_is_paused` is true. It is also true just before the reactor finds the event still set: then the reactor goes round
once more, and may take the response for a request ("Received unexpected C-STORE service message"), for which the sender
waits in vain. On a busy machine that happens once in some thousand messages. Here clearing the event also waits for the
end of such a round.
"""

import threading
from typing import Any, Final

from pynetdicom.association import Association

# The reactor may be gone in the middle of a round, when the association was aborted.
_ROUND_SECONDS: Final = 5.0


class _Checkpoint(threading.Event):
    """The event of one association; the reactor holds `_round` from the return of `wait` to its next call."""

    def __init__(self) -> None:
        super().__init__()
        self._round: Final = threading.RLock()
        self._in_round = False
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        if self._in_round:
            self._in_round = False
            self._round.release()
        while True:
            super().wait(timeout)
            self._round.acquire()
            if self.is_set():
                self._in_round = True
                return True
            self._round.release()

    def clear(self) -> None:
        super().clear()
        if self._round.acquire(timeout=_ROUND_SECONDS):
            self._round.release()


_original_init: Final = Association.__init__


def _init(self: Association, *args: Any, **kwargs: Any) -> None:
    _original_init(self, *args, **kwargs)
    self._reactor_checkpoint = _Checkpoint()


Association.__init__ = _init  # type: ignore[method-assign]
