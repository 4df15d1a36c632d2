"""Edits A-ASSOCIATE PDUs in place: titles replaced, presentation contexts taken out of an RQ and put back into its AC.

Only the bytes that must change do; reserved bytes, unknown items, padding and order stay as the peer sent them
(PS3.8 9.3.2 and 9.3.3). What does not belong here: which titles and which contexts; that is for the proxy's policy.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.upper_layer.ae_title import AE_TITLE_LENGTH
from dimse_proxy.upper_layer.codec import (
    APPLICATION_CONTEXT_NAME,
    ASSOCIATE_RESERVED,
    CALLED_AE_TITLE,
    CALLING_AE_TITLE,
    CONTEXT_FIELDS_LENGTH,
    ITEMS_OFFSET,
    PDU_HEADER_LENGTH,
    encode_associate_accept,
    encode_context_result,
)
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.items import ITEM_HEADER_LENGTH, ItemType, decode_uid, decode_user_item, walk_items
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    MaximumLength,
    PduType,
    ProposedContext,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UserItem,
)
from dimse_proxy.upper_layer.recent import decode_associate_request

ACCEPTANCE: Final = 0
"""Result of a presentation context item (PS3.8 Table 9-18), as are the next two."""
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 4

_IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
"""Stands in a refused context that proposed no usable transfer syntax: the item must have one, and nobody reads it."""
_MAX_UID_LENGTH: Final = 64
"""Characters of a UID (PS3.5 9.1)."""

_Verdict: TypeAlias = ContextResult | frozenset[str] | None
"""Of a filter on a context: a refusal, the transfer syntaxes to keep, or None if it stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredRequest:
    """An A-ASSOCIATE-RQ and what a filter left of it."""

    raw: bytes
    """The RQ to send on: the very object that came in when the filter changed nothing."""
    request: AssociateRequest
    """`raw`, decoded."""
    refused: tuple[ContextResult, ...]
    """The contexts taken out, in the request's order, as the AC will have them."""

    @property
    def contexts_left(self) -> int:
        """The number of presentation contexts still in the request."""
        return len(self.request.presentation_contexts)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedContext:
    """A presentation context that may be used on an association."""

    abstract_syntax: str
    transfer_syntax: str


def replace_titles(raw: bytes, *, called: bytes | None = None, calling: bytes | None = None) -> bytes:
    """Return an A-ASSOCIATE-RQ or -AC with other AE titles; `raw` itself if nothing changes.

    Args:
        raw: the whole PDU.
        called: the new called AE title, 16 bytes; None leaves it as it is.
        calling: the new calling AE title, 16 bytes; None leaves it as it is.

    Raises:
        LocalProtocolError: `raw` is another PDU or a title has not 16 bytes.
    """
    if len(raw) < ITEMS_OFFSET or raw[0] not in (PduType.A_ASSOCIATE_RQ, PduType.A_ASSOCIATE_AC):
        raise LocalProtocolError("AE titles can be replaced in an A-ASSOCIATE-RQ or -AC only")
    edited = bytearray(raw)
    for place, title in ((CALLED_AE_TITLE, called), (CALLING_AE_TITLE, calling)):
        if title is None:
            continue
        if len(title) != AE_TITLE_LENGTH:
            raise LocalProtocolError(f"an AE title of {len(title)} bytes instead of {AE_TITLE_LENGTH}")
        edited[place] = title
    return raw if edited == raw else bytes(edited)


def filter_request(
    request: AssociateRequest, decide: Callable[[ProposedContext], Collection[str] | None]
) -> FilteredRequest:
    """Take out of an A-ASSOCIATE-RQ what `decide` does not allow.

    A context that loses some of its transfer syntaxes keeps its place. A context that loses all of them, or whose
    abstract syntax is refused, is taken out, and with it the role selection and the (common) extended negotiation of
    its SOP class unless another context still proposes that class. Sub-items of SOP classes that no context proposed
    are not touched.

    Args:
        request: as it came.
        decide: returns the transfer syntaxes of a context to keep, or None to refuse its abstract syntax.
    """
    verdicts = [_judge(context, decide(context)) for context in request.presentation_contexts]
    refused = tuple(verdict for verdict in verdicts if isinstance(verdict, ContextResult))
    if all(verdict is None for verdict in verdicts):
        return FilteredRequest(raw=request.raw, request=request, refused=())
    remaining_classes: set[str] = set()
    refused_classes: set[str] = set()
    for context, verdict in zip(request.presentation_contexts, verdicts, strict=True):
        classes = refused_classes if isinstance(verdict, ContextResult) else remaining_classes
        classes.add(context.abstract_syntax)
    raw = _edit_request(request.raw, verdicts, refused_classes - remaining_classes)
    return FilteredRequest(raw=raw, request=decode_associate_request(raw), refused=refused)


def _judge(context: ProposedContext, kept: Collection[str] | None) -> _Verdict:
    if kept is None:
        return _refusal(context, ABSTRACT_SYNTAX_NOT_SUPPORTED)
    proposed = frozenset(context.transfer_syntaxes)
    left = proposed.intersection(kept)
    if left == proposed:
        return None
    return left or _refusal(context, TRANSFER_SYNTAXES_NOT_SUPPORTED)


def _refusal(context: ProposedContext, result: int) -> ContextResult:
    first = context.transfer_syntaxes[0] if context.transfer_syntaxes else ""
    return ContextResult(
        context_id=context.context_id, result=result, transfer_syntax=_uid_or(first, _IMPLICIT_VR_LITTLE_ENDIAN)
    )


def _uid_or(text: str, default: str) -> str:
    """Return what a peer sent as a UID if it can be put into an item again."""
    return text if 0 < len(text) <= _MAX_UID_LENGTH else default


def _edit_request(raw: bytes, verdicts: Iterable[_Verdict], dropped_classes: Container[str]) -> bytes:
    """Apply the verdicts, one for each presentation context item of `raw` in order."""

    def keeps_user_item(item_type: int, value: bytes) -> bool:
        match decode_user_item(item_type, value):
            case (
                RoleSelection(sop_class_uid=uid)
                | SopClassExtendedNegotiation(sop_class_uid=uid)
                | SopClassCommonExtendedNegotiation(sop_class_uid=uid)
            ):
                return uid not in dropped_classes
            case _:
                return True

    pending = iter(verdicts)
    items = []
    for item_type, start, end in walk_items(raw, ITEMS_OFFSET, len(raw)):
        verdict = next(pending) if item_type == ItemType.PROPOSED_CONTEXT else None
        if isinstance(verdict, ContextResult):
            continue
        if verdict is not None:
            items.append(_narrow_context(raw, start, end, verdict))
        elif item_type == ItemType.USER_INFORMATION:
            items.append(_keep_sub_items(raw, start, start + ITEM_HEADER_LENGTH, end, keeps_user_item))
        else:
            items.append(raw[start:end])
    return _with_items(raw, items)


def _narrow_context(raw: bytes, start: int, end: int, kept: Container[str]) -> bytes:
    def keeps(item_type: int, value: bytes) -> bool:
        return item_type != ItemType.TRANSFER_SYNTAX or decode_uid(value) in kept

    return _keep_sub_items(raw, start, start + ITEM_HEADER_LENGTH + CONTEXT_FIELDS_LENGTH, end, keeps)


def _keep_sub_items(
    raw: bytes, start: int, first_sub_item: int, end: int, keeps: Callable[[int, bytes], bool]
) -> bytes:
    """Return the item at `raw[start:end]` with those of its sub-items for whose type and value `keeps` is true."""
    value = raw[start + ITEM_HEADER_LENGTH : first_sub_item] + b"".join(
        raw[sub_start:sub_end]
        for item_type, sub_start, sub_end in walk_items(raw, first_sub_item, end)
        if keeps(item_type, raw[sub_start + ITEM_HEADER_LENGTH : sub_end])
    )
    return raw[start : start + 2] + len(value).to_bytes(2, "big") + value


def _with_items(raw: bytes, items: Iterable[bytes]) -> bytes:
    """Return an A-ASSOCIATE PDU with the fixed fields of `raw` and these items, its length recomputed."""
    body = raw[PDU_HEADER_LENGTH:ITEMS_OFFSET] + b"".join(items)
    return raw[:2] + len(body).to_bytes(4, "big") + body


def restore_accept(accept: AssociateAccept, request: AssociateRequest, refused: Iterable[ContextResult]) -> bytes:
    """Put the refused contexts into the A-ASSOCIATE-AC of the target, which never saw them (PS3.8 9.3.3.2).

    Each goes behind the nearest context that precedes it in the request and is in the AC, else before the AC's first
    context; in an AC without contexts, behind its application context item. A context id that the target answered
    all the same keeps the target's answer, so that no id is answered twice.

    Args:
        accept: as it came from the target.
        request: as it came from the requestor, with all of its contexts.
        refused: those that `filter_request` took out.

    Returns:
        The AC for the requestor; `accept.raw` itself if nothing was refused.
    """
    results = {result.context_id: result for result in refused}
    if not results:
        return accept.raw
    items: list[bytes] = []
    behind: dict[int, int] = {}  # context id -> index in `items` of what follows its item
    before_all: int | None = None
    behind_application_context = 0
    for item_type, start, end in walk_items(accept.raw, ITEMS_OFFSET, len(accept.raw)):
        if item_type == ItemType.CONTEXT_RESULT:
            behind[accept.raw[start + ITEM_HEADER_LENGTH]] = len(items) + 1
            before_all = len(items) if before_all is None else before_all
        elif item_type == ItemType.APPLICATION_CONTEXT:
            behind_application_context = len(items) + 1
        items.append(accept.raw[start:end])

    insertions: defaultdict[int, list[bytes]] = defaultdict(list)
    place = behind_application_context if before_all is None else before_all
    for context in request.presentation_contexts:
        if context.context_id in behind:
            place = behind[context.context_id]
        elif context.context_id in results:
            insertions[place].append(encode_context_result(results.pop(context.context_id)))
    restored: list[bytes] = []
    for index, item in enumerate(items):
        restored += insertions[index]
        restored.append(item)
    return _with_items(accept.raw, restored + insertions[len(items)])


def local_accept(request: AssociateRequest, results: Iterable[ContextResult]) -> bytes:
    """Return the A-ASSOCIATE-AC that the proxy itself gives when no context is left to ask the target about.

    The titles and the 32 reserved bytes are the RQ's (PS3.8 9.3.3); the user information is the proxy's own.

    Args:
        request: as it came from the requestor.
        results: of all its presentation contexts.
    """
    return encode_associate_accept(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        reserved=request.raw[ASSOCIATE_RESERVED],
        application_context_name=_uid_or(request.application_context_name, APPLICATION_CONTEXT_NAME),
        presentation_contexts=results,
        user_information=own_user_information(),
    )


def maximum_length(user_information: Iterable[UserItem]) -> int:
    """Return the longest P-DATA-TF its sender takes, in bytes without the PDU's header; 0 for no limit (PS3.8 D.1).

    Should the sub-item be there several times, the shortest length is safe whichever of them counts.
    """
    lengths = (item.length for item in user_information if isinstance(item, MaximumLength))
    return min(filter(None, lengths), default=0)


def abstract_syntaxes(request: AssociateRequest) -> tuple[str, ...]:
    """Return the abstract syntaxes of all proposed contexts, each once, in the order of the request."""
    return tuple(dict.fromkeys(context.abstract_syntax for context in request.presentation_contexts))


def accepted(request: AssociateRequest, accept: AssociateAccept) -> dict[int, AcceptedContext]:
    """Return the contexts that both sides may use, by presentation context id.

    A context that is accepted without having been proposed is not among them.
    """
    proposed = {context.context_id: context.abstract_syntax for context in request.presentation_contexts}
    return {
        context.context_id: AcceptedContext(
            abstract_syntax=proposed[context.context_id], transfer_syntax=context.transfer_syntax
        )
        for context in accept.presentation_contexts
        if context.result == ACCEPTANCE and context.context_id in proposed
    }
