"""The acceptor side's rules: a local association asks, the other side is asked on its behalf, its answer comes back.

The local A-ASSOCIATE-RQ is answered only once the target has answered, except where this proxy refuses by itself.
"""

from typing import Final

from dimse_proxy.errors import AssociationRejected
from dimse_proxy.proxy.admission import Admission, Applicant
from dimse_proxy.proxy.hooks import AssociationRecord, EndCause, Observer, Refusal
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.ports import AcceptorPort
from dimse_proxy.proxy.refusals import (
    LOCAL_LIMIT_EXCEEDED,
    TEMPORARY_CONGESTION,
    RefusalCode,
    Refused,
    answer_of,
    tunnel_cause,
)
from dimse_proxy.proxy.relay import Relay
from dimse_proxy.proxy.routes import AskedFor
from dimse_proxy.proxy.timers import RelaySettings, Timer
from dimse_proxy.tunnel.events import TunnelCode
from dimse_proxy.upper_layer.ae_title import ae_title_from_bytes
from dimse_proxy.upper_layer.association import Role
from dimse_proxy.upper_layer.codec import encode_associate_reject
from dimse_proxy.upper_layer.negotiation import FilteredRequest, filter_request, local_accept, restore_accept
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
)
from dimse_proxy.upper_layer.recent import decode_pdu


class AcceptorRelay(Relay):
    """One local association, on the side that accepted it."""

    def __init__(
        self,
        *,
        record: AssociationRecord,
        end_point: AcceptorPort,
        host: str,
        policy: Policy,
        admission: Admission,
        settings: RelaySettings,
        observer: Observer,
        now: float,
    ) -> None:
        super().__init__(
            role=Role.ACCEPTOR,
            record=record,
            end_point=end_point,
            policy=policy,
            admission=admission,
            settings=settings,
            observer=observer,
        )
        self._tunnel: Final = end_point
        self._host: Final = host
        self._request: AssociateRequest | None = None
        self._filtered: FilteredRequest | None = None
        self._asked_for: AskedFor | None = None
        self._is_answered = False
        self._association.transport_connected(now)

    def turned_away(self, now: float) -> None:
        """The connection has no association, and makes room for one that may."""
        if self._request is None:
            text = "too many connections without an association (DIMSE_MAX_UNASSOCIATED_CONNECTIONS)"
            self._observer.connection_turned_away(self.record, text)
        self._reset_leg(now)
        self._process(now)

    def _admit(self) -> None:
        super()._admit()
        self._tunnel.set_waiting(False)

    def _dismiss(self) -> None:
        super()._dismiss()
        self._tunnel.set_waiting(True)

    @property
    def _applicant(self) -> Applicant:
        return Applicant(side=self.record.side, calling=self.record.calling, host=self._host)

    @property
    def _asker(self) -> str | None:
        asked = self._asked_for
        return asked.called if asked is not None and asked.is_alias else None

    def _requested(self, request: AssociateRequest, now: float) -> None:
        record = self.record
        record.called = ae_title_from_bytes(request.called_ae_title)
        record.calling = ae_title_from_bytes(request.calling_ae_title)
        record.started = now
        self._request = request
        self._is_requested = True
        self._observer.association_requested(record, request)
        try:
            asked = self._policy.admit(called=record.called, calling=record.calling, host=self._host)
        except AssociationRejected as rejected:
            answer = (rejected.result, rejected.source, rejected.reason)
            self._reject(answer, f"this proxy: {rejected}", RefusalCode.NOT_ALLOWED, now)
            return
        if (refused := self._admission.refusal(self._applicant, now)) is not None:
            self._reject(answer_of(refused.code), f"this proxy: {refused.text}", refused.code, now)
            return
        self._asked_for = asked
        self._filtered = filter_request(request, self._policy.decide)
        if not self._filtered.contexts_left and self._filtered.refused:
            self._accept_nothing(self._filtered.refused, now)
            return
        self._ask(asked, self._filtered, now)

    def _ask(self, asked: AskedFor, filtered: FilteredRequest, now: float) -> None:
        """Opens a session and sends the A-ASSOCIATE-RQ through it."""
        self._admit()
        info = {**self.record.carried, "called": asked.called, "calling": self.record.calling, "peer": self.record.peer}
        if asked.is_alias:
            info["alias"] = self.record.called
        session = self._tunnel.open_session(asked, info, filtered.request, now)
        self.session = session
        self.record.session = session.id_text
        self._deadlines[Timer.ANSWER] = now + self._settings.open_timeout
        session.send_data(filtered.raw, now)

    def _control_from_session(self, raw: bytes, now: float) -> None:
        match decode_pdu(raw):
            case AssociateAccept() as accept:
                self._accepted_by_target(accept, now)
            case AssociateReject() as reject:
                self._is_answered = True
                self._association.send(raw, now)
                self._refuse(
                    Refusal(
                        result=reject.result,
                        source=reject.source,
                        reason=reject.reason,
                        cause="the target rejected it",
                        code=RefusalCode.TARGET_REJECTED,
                    )
                )
            case ReleaseRequest():
                self._association.send(raw, now)
            case ReleaseResponse():
                self._release_confirmed()
                self._association.send(raw, now)
            case _:
                self._abort_both(f"the other side's proxy sent a PDU of type {raw[0]:02X}H", EndCause.OTHER_PROXY, now)

    def _accepted_by_target(self, accept: AssociateAccept, now: float) -> None:
        request, filtered = self._request, self._filtered
        if request is None or filtered is None or self._is_answered:
            text = "the other side's proxy sent an A-ASSOCIATE-AC that nobody waits for"
            self._abort_both(text, EndCause.OTHER_PROXY, now)
            return
        self._is_answered = True
        restored = restore_accept(accept, request, filtered.refused) if filtered.refused else accept
        self._association.send(restored, now)
        self._established(self._association.accept or accept, request, filtered.refused, now)

    def _refused_by_other_side(self, refused: Refused, now: float) -> None:
        if self._is_answered:
            self._set_outcome(f"aborted at the other side: {refused.text}", EndCause.OTHER_SIDE)
            self._abort_leg(2, 0, now)
        elif refused.code == RefusalCode.NO_CONTEXT:
            self._accept_nothing(self._results(refused), now)
        else:
            self._reject(answer_of(refused.code), f"the other side: {refused.text}", refused.code, now)

    def _results(self, refused: Refused) -> tuple[ContextResult, ...]:
        """The results of all proposed contexts, this side's and the other side's refusals together."""
        others = dict(refused.results)
        ours = {result.context_id: result for result in (self._filtered.refused if self._filtered else ())}
        contexts: tuple[ProposedContext, ...] = self._request.presentation_contexts if self._request else ()
        return tuple(
            ours.get(context.context_id)
            or ContextResult(
                context_id=context.context_id,
                result=others.get(context.context_id, 3),
                transfer_syntax=next(iter(context.transfer_syntaxes), ""),
            )
            for context in contexts
        )

    def _accept_nothing(self, results: tuple[ContextResult, ...], now: float) -> None:
        """No context is left: an A-ASSOCIATE-AC of our own, as a target would answer that supports none of them."""
        request = self._request
        if request is None:
            return
        self.session = None
        self._is_answered = True
        self.record.target = "nobody: no presentation context passed the filter"
        self._association.send(local_accept(request, results), now)
        if self._association.accept is not None:
            self._established(self._association.accept, request, results, now)

    def _tunnel_failed(self, code: str, text: str, now: float) -> None:
        if self._is_answered:
            self._set_outcome(f"session failed: {tunnel_cause(code, self.record.channel, text)}", EndCause.TUNNEL)
            self._abort_leg(2, 0, now)
            return
        answer = LOCAL_LIMIT_EXCEEDED if code == TunnelCode.REFUSED_LIMIT else TEMPORARY_CONGESTION
        self._reject(answer, tunnel_cause(code, self.record.channel, text), code, now)

    def _answer_overdue(self, now: float) -> None:
        text = f"no answer from the other side within {self._settings.open_timeout:g} s"
        self._abort_session(Refused(code=RefusalCode.NO_ANSWER, text=text), now)
        self._reject(TEMPORARY_CONGESTION, text, RefusalCode.NO_ANSWER, now)

    def _lost_before_answer(self, description: str, now: float) -> bool:
        if self._request is None:
            self._observer.connection_idle(self.record, description)
            return True
        return False

    def _reject(self, answer: tuple[int, int, int], cause: str, code: str, now: float) -> None:
        """Answers the A-ASSOCIATE-RQ with an A-ASSOCIATE-RJ of our own."""
        result, source, reason = answer
        self._is_answered = True
        self._association.send(encode_associate_reject(result=result, source=source, reason=reason), now)
        self._refuse(Refusal(result=result, source=source, reason=reason, cause=cause, code=code))
