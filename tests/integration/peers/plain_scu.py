"""An SCU on a plain socket, without threads, of which hundreds can be open at the same time.

pynetdicom needs two threads an association, which lose messages to each other when there are hundreds of them.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from tests.integration.peers import dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Connection, connect

SYNTAXES: Final = {
    1: (pdus.VERIFICATION, pdus.IMPLICIT),
    3: (pdus.CT_STORAGE, pdus.EXPLICIT),
    5: (pdus.STUDY_FIND, pdus.EXPLICIT),
    7: (pdus.STUDY_GET, pdus.EXPLICIT),
    9: (pdus.STUDY_MOVE, pdus.EXPLICIT),
}
C_STORE_RQ: Final = 0x0001


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A DIMSE message: its command set, and its data set as bytes."""

    context_id: int
    command: Dataset
    data: bytes | None


class PlainScu:
    """One association with a context for each of C-ECHO, C-STORE (both roles), C-FIND, C-GET and C-MOVE."""

    def __init__(self, port: int, *, calling: str = "ASKER", called: str = "TARGET", patience: float = 30.0) -> None:
        self._patience: Final = patience
        self._connection: Final[Connection] = connect(port)
        contexts = b"".join(pdus.proposed(number, *syntaxes) for number, syntaxes in SYNTAXES.items())
        user = pdus.USER + pdus.role(pdus.CT_STORAGE, 1, 1)
        titles = called.encode().ljust(16), calling.encode().ljust(16)
        try:
            self._connection.send(pdus.rq(contexts, user, called=titles[0], calling=titles[1]))
            accepted = self._connection.expect(pdus.AC, patience=patience)
            assert sorted(pdus.results(accepted)) == [(number, 0) for number in SYNTAXES]
        except BaseException:
            self._connection.close()
            raise

    def send(self, context_id: int, command: bytes, data: bytes | None = None) -> None:
        """A message, its data set cut to PDUs of 16 KiB."""
        pieces = [pdus.command_pdu(command, context_id)]
        if data is not None:
            pieces.append(pdus.data_pdus(data, context_id))
        self._connection.send(*pieces)

    def read(self) -> Message:
        """The next message, whole."""
        command, data = bytearray(), bytearray()
        parsed: Dataset | None = None
        while True:
            for context_id, control, fragment in pdus.pdvs(
                self._connection.expect(pdus.P_DATA, patience=self._patience)
            ):
                (command if control & 1 else data).extend(fragment)
                if control == 3:
                    parsed = decode(BytesIO(bytes(command)), is_implicit_vr=True, is_little_endian=True)
                    if parsed.CommandDataSetType == pdus.NO_DATA:
                        return Message(context_id=context_id, command=parsed, data=None)
                elif control == 2:
                    assert parsed is not None, "a data set before its command"
                    return Message(context_id=context_id, command=parsed, data=bytes(data))

    def echo(self, message_id: int) -> None:
        self.send(1, pdus.echo_rq(message_id))
        answer = self.read().command
        assert (answer.MessageIDBeingRespondedTo, answer.Status) == (message_id, 0)

    def store(self, file: DicomFile, message_id: int) -> int:
        """C-STORE of a CT image; returns the status."""
        self.send(3, pdus.store_rq(message_id, file.sop_instance), file.data_set())
        answer = self.read().command
        assert answer.MessageIDBeingRespondedTo == message_id
        assert answer.AffectedSOPInstanceUID == file.sop_instance
        return int(answer.Status)

    def find(self, asked: Dataset, message_id: int) -> tuple[list[int], list[Dataset]]:
        """C-FIND; returns the statuses and the identifiers of all responses."""
        self.send(5, pdus.find_rq(message_id), encoded(asked))
        codes: list[int] = []
        found: list[Dataset] = []
        while not codes or codes[-1] in (0xFF00, 0xFF01):
            message = self.read()
            assert message.command.MessageIDBeingRespondedTo == message_id
            codes.append(int(message.command.Status))
            if message.data:
                found.append(decode(BytesIO(message.data), is_implicit_vr=False, is_little_endian=True))
        return codes, found

    def get(self, asked: Dataset, message_id: int) -> tuple[int, dict[str, str]]:
        """C-GET; returns the final status, and SOP Instance UID and digest of what came."""
        self.send(7, pdus.get_rq(message_id), encoded(asked))
        received = {}
        while True:
            message = self.read()
            if message.command.CommandField == C_STORE_RQ:
                uid = str(message.command.AffectedSOPInstanceUID)
                received[uid] = dicom_files.digest(message.data or b"")
                self.send(message.context_id, pdus.store_rsp(message.command.MessageID, 0, uid))
            elif message.command.Status != 0xFF00:
                return int(message.command.Status), received

    def move(self, asked: Dataset, destination: str, message_id: int) -> int:
        """C-MOVE; returns the final status."""
        self.send(9, pdus.move_rq(destination.encode(), message_id), encoded(asked))
        while True:
            message = self.read()
            if message.command.Status != 0xFF00:
                return int(message.command.Status)

    def release(self) -> None:
        self._connection.send(pdus.release_rq())
        self._connection.expect(pdus.RELEASE_RP, patience=self._patience)
        self._connection.close()

    def close(self) -> None:
        """Closes the connection, as a process that dies does."""
        self._connection.close()


def encoded(data_set: Dataset) -> bytes:
    """Explicit VR little endian."""
    result = encode(data_set, is_implicit_vr=False, is_little_endian=True)
    assert result is not None
    return result
