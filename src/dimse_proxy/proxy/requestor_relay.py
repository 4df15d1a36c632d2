"""The requestor side's rules: an association request comes out of the tunnel and is made to the target.

AE titles are changed here, and nowhere else: on the way to the target, and back in its A-ASSOCIATE-AC.
"""

from collections.abc import Mapping
from typing import Final

from dimse_proxy.proxy.admission import Admission, Applicant
from dimse_proxy.proxy.hooks import AssociationRecord, EndCause, Observer, Refusal
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.ports import RequestorPort, SessionPort
from dimse_proxy.proxy.refusals import RefusalCode, Refused, answer_of, tunnel_cause
from dimse_proxy.proxy.relay import Relay
from dimse_proxy.proxy.routes import AskedFor, Way
from dimse_proxy.proxy.timers import RelaySettings, Timer
from dimse_proxy.upper_layer.ae_title import ae_title_from_bytes, ae_title_to_bytes
from dimse_proxy.upper_layer.association import Role
from dimse_proxy.upper_layer.negotiation import FilteredRequest, filter_request, replace_titles, restore_accept
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ReleaseRequest,
    ReleaseResponse,
)
from dimse_proxy.upper_layer.recent import decode_associate_request, decode_pdu


class RequestorRelay(Relay):
    """One association that arrived through the tunnel, on the side of its target."""

    def __init__(
        self,
        *,
        record: AssociationRecord,
        end_point: RequestorPort,
        session: SessionPort,
        info: Mapping[str, str],
        policy: Policy,
        admission: Admission,
        settings: RelaySettings,
        observer: Observer,
    ) -> None:
        super().__init__(
            role=Role.REQUESTOR,
            record=record,
            end_point=end_point,
            policy=policy,
            admission=admission,
            settings=settings,
            observer=observer,
        )
        self.session = session
        self._target: Final = end_point
        self._asked_for: Final = AskedFor(
            channel=record.channel, called=info.get("called", "").strip(" "), is_alias="alias" in info
        )
        self._way: Way | None = None
        self._request: AssociateRequest | None = None
        self._filtered: FilteredRequest | None = None
        self._is_called_replaced = False
        self._is_calling_replaced = False
        self._is_answered = False

    def opened(self, now: float) -> None:
        """The session was opened; its first bytes will be the A-ASSOCIATE-RQ."""
        self._is_requested = True
        way = self._policy.way(self._asked_for)
        if isinstance(way, Refused):
            self.record.target = "none"
            self._refuse_session(way, now)
            return
        self._way = way
        self.record.target = way.target.address(way.called)
        self.record.target_name = way.target.name
        refused = self._admission.refusal(self._applicant, now)
        if refused is None:
            self._admit()
        else:
            self._refuse_session(refused, now)

    def connected(self, now: float) -> None:
        """The transport connection to the target is there."""
        self._association.transport_connected(now)
        self._deadlines[Timer.ANSWER] = now + self._settings.accept_timeout
        self._process(now)

    def connect_failed(self, text: str, now: float) -> None:
        """There is no transport connection to the target."""
        if not self._association.is_over:
            self._refuse_session(Refused(code=RefusalCode.TARGET_UNREACHABLE, text=text), now)
            self._association.connection_lost(now, text)
            self._process(now)

    @property
    def _applicant(self) -> Applicant:
        target = None if self._way is None else self._way.target
        return Applicant(
            side=self.record.side,
            calling=self.record.calling,
            target=self.record.target_name,
            target_limit=0 if target is None else target.max_associations,
        )

    @property
    def _asker(self) -> str | None:
        return None if self._way is None else self._way.asker

    def _control_from_session(self, raw: bytes, now: float) -> None:
        match decode_pdu(raw):
            case AssociateRequest() as request if self._request is None:
                self._ask(request, now)
            case ReleaseRequest():
                self._association.send(raw, now)
            case ReleaseResponse():
                self._release_confirmed()
                self._association.send(raw, now)
            case _:
                self._abort_both(f"the other side's proxy sent a PDU of type {raw[0]:02X}H", EndCause.OTHER_PROXY, now)

    def _ask(self, request: AssociateRequest, now: float) -> None:
        """Sends the A-ASSOCIATE-RQ on, under the AE titles of the configuration."""
        way = self._way
        if self.session is None or way is None:
            return
        self._request = request
        refused = self._policy.refusal_in(
            called=self._asked_for.called, calling=ae_title_from_bytes(request.calling_ae_title), peer=self.record.peer
        )
        if refused is not None:
            self._refuse_session(refused, now)
            return
        filtered = filter_request(request, self._policy.decide_in)
        self._filtered = filtered
        if not filtered.contexts_left and filtered.refused:
            self._refuse_session(
                Refused(
                    code=RefusalCode.NO_CONTEXT,
                    text="no presentation context passed this side's filter (DIMSE_CONFIG_PATH, or _IN)",
                    results=tuple((result.context_id, result.result) for result in filtered.refused),
                ),
                now,
            )
            return
        try:
            raw = self._under_titles_of(way, request, filtered)
        except ValueError as error:
            self._refuse_session(Refused(code=RefusalCode.NO_ROUTE, text=str(error)), now)
            return
        sent = filtered.request if raw is filtered.raw else decode_associate_request(raw)
        self._observer.association_requested(self.record, sent)
        self._association.send(sent, now)
        self._target.connect(way)

    def _under_titles_of(self, way: Way, request: AssociateRequest, filtered: FilteredRequest) -> bytes:
        """The A-ASSOCIATE-RQ as the target gets it.

        Raises:
            ValueError: what the other side asks for is no AE title.
        """
        original = ae_title_from_bytes(request.calling_ae_title)
        calling = self._policy.routes.calling_title(way.target, channel=self.record.channel, calling=original)
        self._is_called_replaced = way.called != ae_title_from_bytes(request.called_ae_title)
        self._is_calling_replaced = calling != original
        return replace_titles(
            filtered.raw,
            called=ae_title_to_bytes(way.called) if self._is_called_replaced else None,
            calling=ae_title_to_bytes(calling) if self._is_calling_replaced else None,
        )

    def _accepted(self, accept: AssociateAccept, now: float) -> None:
        request, filtered = self._request, self._filtered
        if request is None or filtered is None:
            return
        self._is_answered = True
        raw = restore_accept(accept, request, filtered.refused) if filtered.refused else accept.raw
        raw = replace_titles(
            raw,
            called=request.called_ae_title if self._is_called_replaced else None,
            calling=request.calling_ae_title if self._is_calling_replaced else None,
        )
        self._send_to_session(raw, now)
        self._established(accept, request, filtered.refused, now)

    def _rejected(self, reject: AssociateReject, now: float) -> None:
        self._is_answered = True
        self._send_to_session(reject.raw, now)
        self._refuse(
            Refusal(
                result=reject.result,
                source=reject.source,
                reason=reject.reason,
                cause=f"the target {self.record.target} rejected it",
                code=RefusalCode.TARGET_REJECTED,
            )
        )

    def _refused_by_other_side(self, refused: Refused, now: float) -> None:
        self._set_outcome(f"given up at the other side: {refused.text}", EndCause.OTHER_SIDE)
        self._abort_leg(2, 0, now)

    def _tunnel_failed(self, code: str, text: str, now: float) -> None:
        self._set_outcome(f"session failed: {tunnel_cause(code, self.record.channel, text)}", EndCause.TUNNEL)
        self._abort_leg(2, 0, now)

    def _answer_overdue(self, now: float) -> None:
        text = f"{self.record.target} did not answer the A-ASSOCIATE-RQ within {self._settings.accept_timeout:g} s"
        self._refuse_session(Refused(code=RefusalCode.TARGET_TIMEOUT, text=text), now)
        self._abort_leg(2, 0, now)

    def _lost_before_answer(self, description: str, now: float) -> bool:
        if self._is_answered or self.session is None:
            return self.session is None and self.record.refused
        text = f"{self.record.target} closed the connection without answering the A-ASSOCIATE-RQ: {description}"
        self._refuse_session(Refused(code=RefusalCode.TARGET_CLOSED, text=text), now)
        return True

    def _refuse_session(self, refused: Refused, now: float) -> None:
        """Tells the other side why, and records it here."""
        self._abort_session(refused, now)
        if refused.code == RefusalCode.NO_CONTEXT:
            result, source, reason = 0, 0, 0
        else:
            result, source, reason = answer_of(refused.code)
        self._refuse(Refusal(result=result, source=source, reason=reason, cause=refused.text, code=refused.code))
