"""What a target accepted when it was last asked, and what a new association is answered from that."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dimse_proxy.dimse.services import VERIFICATION_SOP_CLASS
from dimse_proxy.upper_layer.negotiation import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
)
from dimse_proxy.upper_layer.pdu import ContextResult, ProposedContext

_MOST: Final = 8192
"""Pairs of abstract and transfer syntax remembered of one target: SCUs choose them, and private ones have no end."""

_LIKELY: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Explicit and implicit VR little endian: what a target accepts, if it accepts the SOP class at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to all contexts of a request."""

    results: tuple[ContextResult, ...]
    unknown: tuple[ProposedContext, ...]
    """Contexts that the target was not asked about; they are accepted all the same."""


class Knowledge:
    """What is known of one target."""

    def __init__(self) -> None:
        self._transfer_syntaxes: Final[dict[tuple[str, str], bool]] = {}
        self._refused: Final[set[str]] = set()
        self.asked_at: float | None = None
        """When it was last asked."""
        self.maximum_length = 0
        """That it announced; 0 for no limit, or when it was not asked."""

    def learn(
        self, proposed: Iterable[ProposedContext], results: Iterable[ContextResult], maximum_length: int, now: float
    ) -> None:
        """Take note of an A-ASSOCIATE-AC of the target."""
        if len(self._transfer_syntaxes) + len(self._refused) > _MOST:
            self._transfer_syntaxes.clear()
            self._refused.clear()
        found = {result.context_id: result for result in results}
        for context in proposed:
            result = found.get(context.context_id)
            if result is not None:
                self._learn(context, result)
        self.maximum_length = maximum_length
        self.asked_at = now

    def _learn(self, context: ProposedContext, result: ContextResult) -> None:
        abstract = context.abstract_syntax
        if result.result == ACCEPTANCE:
            self._refused.discard(abstract)
            self._transfer_syntaxes[abstract, result.transfer_syntax] = True
        elif result.result == ABSTRACT_SYNTAX_NOT_SUPPORTED:
            self._refused.add(abstract)
            for transfer in context.transfer_syntaxes:
                self._transfer_syntaxes.pop((abstract, transfer), None)
        else:
            for transfer in context.transfer_syntaxes:
                self._transfer_syntaxes[abstract, transfer] = False

    def answer(self, proposed: Iterable[ProposedContext]) -> Answer:
        """Answer the contexts of a request; Verification is always accepted, as it is answered here."""
        results, unknown = [], []
        for context in proposed:
            result = self._known(context)
            if result is None:
                unknown.append(context)
                result = _result(context, ACCEPTANCE, _likely(context))
            results.append(result)
        return Answer(results=tuple(results), unknown=tuple(unknown))

    def _known(self, context: ProposedContext) -> ContextResult | None:
        abstract, transfers = context.abstract_syntax, context.transfer_syntaxes
        if not transfers:
            return _result(context, TRANSFER_SYNTAXES_NOT_SUPPORTED, "")
        if abstract == VERIFICATION_SOP_CLASS:
            return _result(context, ACCEPTANCE, _likely(context))
        if abstract in self._refused:
            return _result(context, ABSTRACT_SYNTAX_NOT_SUPPORTED, transfers[0])
        verdicts = [self._transfer_syntaxes.get((abstract, transfer)) for transfer in transfers]
        if True in verdicts:
            return _result(context, ACCEPTANCE, transfers[verdicts.index(True)])
        if None in verdicts:
            return None
        return _result(context, TRANSFER_SYNTAXES_NOT_SUPPORTED, transfers[0])


def _likely(context: ProposedContext) -> str:
    transfers = context.transfer_syntaxes
    return next((transfer for transfer in _LIKELY if transfer in transfers), transfers[0])


def _result(context: ProposedContext, result: int, transfer_syntax: str) -> ContextResult:
    return ContextResult(context_id=context.context_id, result=result, transfer_syntax=transfer_syntax)
