"""What the targets of the other side accept, remembered; asked again when it is old, or a new question comes up."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dimse_proxy.proxy.store_and_forward.probe import Asked, NotAsked, OpenSession, Probe
from dimse_proxy.queueing.knowledge import Knowledge
from dimse_proxy.queueing.pdvs import LONGEST
from dimse_proxy.upper_layer.ae_title import ae_title_from_bytes
from dimse_proxy.upper_layer.negotiation import maximum_length
from dimse_proxy.upper_layer.pdu import AssociateRequest, ContextResult

PROBE_TIMEOUT: Final = 5.0
"""Seconds that an SCU waits for a question to the target that it need not wait for."""
_REST: Final = 6.0
"""For so many times as long as a question was in vain, the target is not asked again: an SCU that waited 5 s for
nothing is followed by some that need not, and a connection that is refused at once costs nobody anything."""
_MOST_TARGETS: Final = 256
"""Pairs of called and calling AE title remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """The answer to an A-ASSOCIATE-RQ."""

    results: tuple[ContextResult, ...]
    longest: int
    """Bytes of a P-DATA-TF to announce: what the target takes, so that the association can become its own."""
    assumed: int = 0
    """Contexts about which the target was not asked."""
    text: str = ""
    """Why it was not."""


class Targets:
    """What is known of each target, and the questions under way."""

    def __init__(
        self,
        open_session: OpenSession,
        flush: Callable[[], None],
        *,
        refresh: float,
        timeout: float,
    ) -> None:
        """Know nothing yet.

        Args:
            open_session: to the other side, through the tunnel.
            flush: publishes what the tunnel has to send.
            refresh: seconds after which a target is asked again.
            timeout: seconds for a question that an association depends on.
        """
        self._open_session: Final = open_session
        self._flush: Final = flush
        self._refresh: Final = refresh
        self._timeout: Final = timeout
        self._known: Final[OrderedDict[tuple[str, str], Knowledge]] = OrderedDict()
        self._unreachable: Final[dict[tuple[str, str], tuple[float, NotAsked]]] = {}
        self._asking: Final[dict[tuple[str, str], asyncio.Task[object]]] = {}

    async def negotiate(
        self, request: AssociateRequest, info: Mapping[str, str], *, must_be_there: bool
    ) -> Negotiated | NotAsked:
        """Answer a request; `NotAsked` if the target has to be there and is not."""
        key = (info.get("called", ""), ae_title_from_bytes(request.calling_ae_title))
        known = self._knowledge(key)
        answer = known.answer(request.presentation_contexts)
        if must_be_there:
            asked = await self._ask(key, request, info, self._timeout)
            if isinstance(asked, NotAsked):
                return asked
            answer = known.answer(request.presentation_contexts)
        elif answer.unknown:
            refusal = self._rested(key) or await self._ask(key, request, info, PROBE_TIMEOUT)
            answer = known.answer(request.presentation_contexts)
            if isinstance(refusal, NotAsked):
                return Negotiated(
                    results=answer.results, longest=_longest(known), assumed=len(answer.unknown), text=refusal.text
                )
        elif self._is_old(known) and key not in self._asking and not self._rested(key):
            task = asyncio.get_running_loop().create_task(self._ask(key, request, info, self._timeout))
            self._asking[key] = task
            task.add_done_callback(lambda _task: self._asking.pop(key, None))
        return Negotiated(
            results=answer.results,
            longest=_longest(known),
            assumed=len(answer.unknown),
            text="the target did not answer for all contexts" if answer.unknown else "",
        )

    def close(self) -> None:
        """Give up what is being asked."""
        for task in list(self._asking.values()):
            task.cancel()

    def _knowledge(self, key: tuple[str, str]) -> Knowledge:
        known = self._known.setdefault(key, Knowledge())
        self._known.move_to_end(key)
        if len(self._known) > _MOST_TARGETS:
            gone, _ = self._known.popitem(last=False)
            self._unreachable.pop(gone, None)
        return known

    def _is_old(self, known: Knowledge) -> bool:
        now = asyncio.get_running_loop().time()
        return known.asked_at is None or now - known.asked_at >= self._refresh

    def _rested(self, key: tuple[str, str]) -> NotAsked | None:
        until, refusal = self._unreachable.get(key, (0.0, None))
        return refusal if asyncio.get_running_loop().time() < until else None

    async def _ask(
        self,
        key: tuple[str, str],
        request: AssociateRequest,
        info: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - no answer is an answer
    ) -> Asked | NotAsked:
        begun = asyncio.get_running_loop().time()
        asked = await Probe(request, self._flush).ask(self._open_session, info, timeout)
        now = asyncio.get_running_loop().time()
        match asked:
            case Asked(accept=accept):
                self._unreachable.pop(key, None)
                self._knowledge(key).learn(
                    request.presentation_contexts,
                    accept.presentation_contexts,
                    maximum_length(accept.user_information),
                    now,
                )
            case NotAsked():
                self._unreachable[key] = (now + _REST * (now - begun), asked)
        return asked


def _longest(known: Knowledge) -> int:
    return min(known.maximum_length or LONGEST, LONGEST)
