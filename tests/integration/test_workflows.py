"""Workflows of N- services between pynetdicom peers: performed procedure step, commitment, UPS, print."""

import queue
from collections.abc import Iterator
from typing import Any, Final

import pytest
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmBox,
    BasicFilmSession,
    BasicGrayscaleImageBox,
    BasicGrayscalePrintManagementMeta,
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepNotification,
    ModalityPerformedProcedureStepRetrieve,
    Printer,
    PrinterInstance,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
)

from tests.integration.peers.pynetdicom_peers import Offer, Scp, association, offers, plain
from tests.integration.peers.retrieval import Answer, Steps
from tests.integration.peers.routes import Route

Reply = tuple[int | Dataset, Dataset | None]


class Instances:
    """The SOP instances that an SCP of N- services holds: N-CREATE, N-SET, N-GET, N-DELETE on data sets."""

    def __init__(self) -> None:
        self.held: Final[dict[str, Dataset]] = {}
        self.actions: Final[list[tuple[str, int, object]]] = []

    def create(self, event: Event) -> Reply:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID or generate_uid())
        if uid in self.held:
            return 0x0111, None
        self.held[uid] = event.attribute_list
        reply = Dataset()
        reply.update(event.attribute_list)
        reply.AffectedSOPInstanceUID = uid
        return 0x0000, reply

    def set(self, event: Event) -> Reply:
        held = self.held.get(str(event.request.RequestedSOPInstanceUID))  # type: ignore[union-attr]
        if held is None:
            return 0x0112, None
        if held.get("PerformedProcedureStepStatus") == "COMPLETED":
            refused = Dataset()
            refused.Status = 0x0110
            refused.ErrorID = 0xA710
            refused.ErrorComment = "Performed Procedure Step Object may no longer be updated"
            return refused, None
        held.update(event.modification_list)
        return 0x0000, event.modification_list

    def get(self, event: Event) -> Reply:
        held = self.held.get(str(event.request.RequestedSOPInstanceUID))  # type: ignore[union-attr]
        if held is None:
            return 0x0112, None
        wanted = event.attribute_identifiers
        found = Dataset()
        for element in held:
            if not wanted or element.tag in wanted:
                found.add(element)
        return 0x0000, found

    def action(self, event: Event) -> Reply:
        request: Any = event.request
        uid = str(request.RequestedSOPInstanceUID)
        information = plain(event.action_information) if request.ActionInformation else None
        self.actions.append((uid, int(event.action_type or 0), information))
        return (0x0000 if uid in self.held else 0xC307), None

    def delete(self, event: Event) -> int:
        return 0x0000 if self.held.pop(str(event.request.RequestedSOPInstanceUID), None) is not None else 0x0112  # type: ignore[union-attr]

    def handlers(self) -> list[tuple[Any, ...]]:
        return [
            (evt.EVT_N_CREATE, self.create),
            (evt.EVT_N_SET, self.set),
            (evt.EVT_N_GET, self.get),
            (evt.EVT_N_ACTION, self.action),
            (evt.EVT_N_DELETE, self.delete),
        ]


def data_set(**elements: object) -> Dataset:
    result = Dataset()
    for keyword, value in elements.items():
        setattr(result, keyword, value)
    return result


def code_of(answer: tuple[Dataset, Dataset | None]) -> int:
    return int(answer[0].Status)


def test_modality_performed_procedure_step(route: Route) -> None:
    mpps, retrieve = ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve

    def run(port: int) -> list[object]:
        uid = "1.2.826.0.1.3680043.8.498.77"
        with (
            Scp(route.scp_port, offers(mpps, retrieve), Instances().handlers()),
            association(port, offers(mpps, retrieve)) as assoc,
        ):
            begun = data_set(PerformedProcedureStepID="PPS1", PerformedProcedureStepStatus="IN PROGRESS", Modality="CT")
            done = data_set(PerformedProcedureStepStatus="COMPLETED", PerformedProcedureStepEndDate="20240101")
            answers = [
                assoc.send_n_create(begun, mpps, uid),
                assoc.send_n_create(begun, mpps, uid),
                assoc.send_n_set(done, mpps, uid),
                assoc.send_n_set(done, mpps, uid),
                assoc.send_n_set(done, mpps, "1.2.3"),
                assoc.send_n_get([Tag(0x00400253), Tag(0x00400252)], retrieve, uid),
            ]
            assert [code_of(answer) for answer in answers] == [0x0000, 0x0111, 0x0000, 0x0110, 0x0112, 0x0000]
            assert plain(answers[-1][1]) == plain(
                data_set(PerformedProcedureStepStatus="COMPLETED", PerformedProcedureStepID="PPS1")
            )
            return [(plain(status), plain(reply)) for status, reply in answers]

    route.same(run)


def test_modality_performed_procedure_step_notification(route: Route) -> None:
    """N-EVENT-REPORT from the SCP, whose role is the usual one, on an association that the SCU keeps open."""
    sop_class = ModalityPerformedProcedureStepNotification
    accepted: queue.Queue[Association] = queue.Queue()
    reports: list[object] = []

    def report(event: Event) -> Reply:
        reports.append((event.event_type, plain(event.event_information)))
        return 0x0000, None

    with (
        Scp(route.scp_port, offers(sop_class), [(evt.EVT_ACCEPTED, lambda event: accepted.put(event.assoc))]),
        association(route.port, offers(sop_class), [(evt.EVT_N_EVENT_REPORT, report)]),
    ):
        scp_side = accepted.get(timeout=10)
        for event_type in (1, 2, 3):
            assert code_of(scp_side.send_n_event_report(None, event_type, sop_class, "1.2.3.4")) == 0x0000
    assert reports == [(1, {}), (2, {}), (3, {})]


COMMIT: Final = StorageCommitmentPushModel


def commitment_request() -> Dataset:
    items = [data_set(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=f"1.2.3.{n}") for n in range(50)]
    return data_set(TransactionUID="1.2.826.0.1.3680043.8.498.55", ReferencedSOPSequence=items)


@pytest.mark.parametrize("answer", [0x0000, 0x0107, 0x0110], ids=lambda code: f"{code:04X}")
def test_storage_commitment_on_the_same_association(route: Route, answer: int) -> None:
    """The SCP reports on the association of the request, with role selection; the SCU answers success or failure."""
    asked: queue.Queue[tuple[Association, Dataset]] = queue.Queue()
    reported: list[object] = []

    def act(event: Event) -> Reply:
        asked.put((event.assoc, event.action_information))
        return 0x0000, None

    def report(event: Event) -> Reply:
        reported.append((event.event_type, plain(event.event_information)))
        return answer, data_set(PatientID="event reply") if answer == 0x0107 else None

    def run(port: int) -> object:
        proposed = [Offer(sop_class=COMMIT, scu_role=True, scp_role=True)]
        with association(port, proposed, [(evt.EVT_N_EVENT_REPORT, report)]) as assoc:
            assert assoc.accepted_contexts[0].as_scp
            request = commitment_request()
            status, _ = assoc.send_n_action(request, 1, COMMIT, StorageCommitmentPushModelInstance)
            assert status.Status == 0x0000
            scp_side, information = asked.get(timeout=10)
            assert information == request
            result, reply = scp_side.send_n_event_report(information, 1, COMMIT, StorageCommitmentPushModelInstance)
            return plain(result), plain(reply)

    supported = [Offer(sop_class=COMMIT, scu_role=True, scp_role=True)]
    with Scp(route.scp_port, supported, [(evt.EVT_N_ACTION, act)]):
        result = route.same(run)
    assert f"'Value': [{answer}]" in str(result)
    assert reported[0] == (1, plain(commitment_request()))
    assert ("event reply" in str(result)) == (answer == 0x0107)


def test_storage_commitment_on_an_association_of_the_scps_own(route: Route) -> None:
    """The SCP requests an association towards the SCU's side and proposes the SCP role for itself."""
    asked: queue.Queue[Dataset] = queue.Queue()
    reported: list[object] = []

    def act(event: Event) -> Reply:
        asked.put(event.action_information)
        return 0x0000, None

    def report(event: Event) -> Reply:
        reported.append((event.assoc.requestor.ae_title, plain(event.event_information)))
        return 0x0000, None

    asker = [Offer(sop_class=COMMIT, scu_role=True, scp_role=True)]
    with (
        Scp(route.scp_port, offers(COMMIT), [(evt.EVT_N_ACTION, act)]),
        Scp(route.asker_port, asker, [(evt.EVT_N_EVENT_REPORT, report)], ae="ASKER"),
    ):
        with association(route.port, offers(COMMIT)) as assoc:
            assoc.send_n_action(commitment_request(), 1, COMMIT, StorageCommitmentPushModelInstance)
        back = [Offer(sop_class=COMMIT, scu_role=False, scp_role=True)]
        with association(route.back_port, back, calling="TARGET", called="ASKER") as assoc:
            status, _ = assoc.send_n_event_report(asked.get(timeout=10), 1, COMMIT, StorageCommitmentPushModelInstance)
    assert status.Status == 0x0000
    assert reported == [("TARGET", plain(commitment_request()))]


def test_unified_procedure_step(route: Route) -> None:
    """N-CREATE, C-FIND, N-ACTION (claim, complete), N-SET, N-GET of UPS, each on its SOP class' own context."""
    push, pull = UnifiedProcedureStepPush, UnifiedProcedureStepPull
    uid = "1.2.826.0.1.3680043.8.498.88"

    def run(port: int) -> list[object]:
        instances = Instances()

        def find(event: Event) -> Iterator[Answer]:
            for held in instances.held.values():
                yield 0xFF00, held

        handlers = [*instances.handlers(), (evt.EVT_C_FIND, find)]
        claim = data_set(ProcedureStepState="IN PROGRESS", TransactionUID="1.2.3.4")
        with (
            Scp(route.scp_port, offers(push, pull), handlers),
            association(port, offers(push, pull)) as assoc,
        ):
            step = data_set(ProcedureStepState="SCHEDULED", ScheduledProcedureStepPriority="MEDIUM")
            answers = [
                assoc.send_n_create(step, push, uid),
                *assoc.send_c_find(data_set(ProcedureStepState="SCHEDULED"), pull),
                assoc.send_n_action(claim, 1, pull, uid),
                assoc.send_n_action(claim, 1, pull, "1.2.3.9"),
                assoc.send_n_action(None, 2, push, uid),
                assoc.send_n_set(data_set(ProcedureStepProgressInformationSequence=[]), pull, uid),
                assoc.send_n_get([Tag(0x00741000)], pull, uid),
            ]
            codes = [code_of(answer) for answer in answers]
            assert codes == [0x0000, 0xFF00, 0x0000, 0x0000, 0xC307, 0x0000, 0x0000, 0x0000]
            assert [kind for _, kind, _ in instances.actions] == [1, 1, 2]
            return [(plain(status), plain(reply)) for status, reply in answers]

    route.same(run)


def test_print(route: Route) -> None:
    """Basic Grayscale Print Management: all messages of all its SOP classes on the meta SOP class' one context."""
    meta = BasicGrayscalePrintManagementMeta

    def run(port: int) -> list[object]:
        instances = Instances()
        instances.held[str(PrinterInstance)] = data_set(PrinterStatus="NORMAL", PrinterName="a printer")
        box, session, film = "1.2.826.1", "1.2.826.2", "1.2.826.3"
        instances.held[box] = data_set(ImageBoxPosition=1)
        with Scp(route.scp_port, offers(meta), instances.handlers()), association(port, offers(meta)) as assoc:
            image = data_set(Rows=64, Columns=64, BitsAllocated=8, PixelData=bytes(4096))
            image["PixelData"].VR = "OB"
            answers = [
                assoc.send_n_get([Tag(0x21100010)], Printer, str(PrinterInstance), meta_uid=meta),
                assoc.send_n_create(data_set(NumberOfCopies=1), BasicFilmSession, session, meta_uid=meta),
                assoc.send_n_create(data_set(ImageDisplayFormat="STANDARD\\1,1"), BasicFilmBox, film, meta_uid=meta),
                assoc.send_n_set(
                    data_set(BasicGrayscaleImageSequence=[image]), BasicGrayscaleImageBox, box, meta_uid=meta
                ),
                assoc.send_n_action(None, 1, BasicFilmBox, film, meta_uid=meta),
                assoc.send_n_action(None, 1, BasicFilmBox, "1.2.3.9", meta_uid=meta),
                (assoc.send_n_delete(BasicFilmBox, film, meta_uid=meta), None),
                (assoc.send_n_delete(BasicFilmBox, film, meta_uid=meta), None),
            ]
            codes = [code_of(answer) for answer in answers]
            assert codes == [0x0000] * 5 + [0xC307, 0x0000, 0x0112]
            return [(plain(status), plain(reply)) for status, reply in answers]

    route.same(run)


def test_printer_reports_events_while_nothing_is_asked(route: Route) -> None:
    """The SCP speaks first, on the requestor's context; each report is sent only when the last was handled."""
    meta = BasicGrayscalePrintManagementMeta
    accepted: queue.Queue[Association] = queue.Queue()
    steps = Steps()
    reported: list[object] = []

    def report(event: Event) -> Reply:
        reported.append((event.event_type, plain(event.event_information)))
        steps.seen()
        return 0x0000, None

    def run(port: int) -> list[object]:
        reported.clear()
        with association(port, offers(meta), [(evt.EVT_N_EVENT_REPORT, report)]):
            scp_side = accepted.get(timeout=10)
            for event_type in (1, 2, 3):
                information = data_set(PrinterName="a printer", PrinterStatusInfo=f"STATE {event_type}")
                answer = scp_side.send_n_event_report(
                    information, event_type, Printer, str(PrinterInstance), meta_uid=meta
                )
                assert code_of(answer) == 0x0000
                steps.wait()
        return list(reported)

    with Scp(route.scp_port, offers(meta), [(evt.EVT_ACCEPTED, lambda event: accepted.put(event.assoc))]):
        assert len(route.same(run)) == 3
