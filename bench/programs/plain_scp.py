"""A storage, query and verification SCP that costs as little as can be: it counts data sets and keeps nothing.

It accepts whatever is proposed. Every C-FIND is answered with as many pending responses as the command line says.
"""

import argparse
import asyncio
from struct import Struct
from typing import Final, cast

import uvloop
from tests.integration.wire import pdus

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.upper_layer.events import CommandFragment, PDataReceived
from dimse_proxy.upper_layer.reader import ControlBytes, PduReader

LOOPBACK: Final = "127.0.0.1"
USER: Final = pdus.maximum_length(16384) + pdus.implementation("1.2.826.0.1.3680043.10.1553.2", "BENCH")
PENDING: Final = 0xFF00
BUFFER: Final = 256 << 10
_ELEMENT: Final = Struct("<HH2sH")
_scratch: Final = bytearray(BUFFER)
_scratch_view: Final = memoryview(_scratch)


def identifier(number: int) -> bytes:
    """What a C-FIND finds: a patient's name and ID, and a Study Instance UID, explicit VR little endian."""
    values = (  # all of even length
        (0x0010, 0x0010, b"PN", f"Bench^{number:06}"),
        (0x0010, 0x0020, b"LO", f"B{number:09}"),
        (0x0020, 0x000D, b"UI", f"1.2.826.0.1.3680043.10.1553.3.{number:08}"),
    )
    return b"".join(_ELEMENT.pack(group, element, vr, len(text)) + text.encode() for group, element, vr, text in values)


class Acceptor(asyncio.BufferedProtocol):
    """One association."""

    def __init__(self, found: int, is_telling: bool) -> None:
        self._found: Final = found
        self._is_telling: Final = is_telling
        self._transport: asyncio.Transport | None = None
        self._reader: Final = PduReader(accepted_contexts=None)
        self._stored: CommandSet | None = None
        self._finding: tuple[int, int] | None = None
        """Context and message ID of a C-FIND that is being answered."""
        self._answered = 0
        self._is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the A-ASSOCIATE-RQ."""
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """One for all."""
        return _scratch_view

    def buffer_updated(self, nbytes: int) -> None:
        """Looks for commands, and for the ends of data sets."""
        for piece in self._reader.feed(_scratch_view[:nbytes]):
            if isinstance(piece, ControlBytes):
                self._control(piece.raw)
            else:
                self._p_data(piece)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _control(self, raw: bytes) -> None:
        if raw[0] == pdus.RQ:
            self._write(pdus.simple_ac(raw, USER))
        elif raw[0] == pdus.RELEASE_RQ:
            self._write(pdus.release_rp())

    def _p_data(self, piece: PDataReceived) -> None:
        for mark in piece.marks:
            if isinstance(mark, CommandFragment):
                self._command(mark)
            elif self._stored is not None:
                command, self._stored = self._stored, None
                assert command.message_id is not None
                self._write(pdus.command_pdu(pdus.store_rsp(command.message_id), mark.context_id))
                if self._is_telling:
                    print("stored", flush=True)
            elif self._finding is not None:
                self._find()

    def _command(self, mark: CommandFragment) -> None:
        assert mark.is_last, "a command in one fragment"
        command = CommandSet.decode(mark.data)
        assert command.message_id is not None
        if command.command_field is CommandField.C_ECHO_RQ:
            self._write(pdus.command_pdu(pdus.echo_rsp(command.message_id), mark.context_id))
        elif command.command_field is CommandField.C_STORE_RQ:
            self._stored = command
        elif command.command_field is CommandField.C_FIND_RQ:
            self._finding = mark.context_id, command.message_id
            self._answered = 0

    def _find(self) -> None:
        """Answers as long as the requestor takes it."""
        while self._finding is not None and not self._is_full:
            context_id, message_id = self._finding
            if self._answered == self._found:
                self._finding = None
                self._write(pdus.command_pdu(pdus.find_rsp(message_id), context_id))
                return
            self._answered += 1
            command = pdus.command_pdu(pdus.find_rsp(message_id, PENDING, data=True), context_id)
            self._write(command + pdus.data_pdus(identifier(self._answered), context_id))

    def pause_writing(self) -> None:
        """The requestor is slow."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It takes more."""
        self._is_full = False
        self._find()


async def serve(port: int, found: int, is_telling: bool) -> None:
    """Serves until ended."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Acceptor(found, is_telling), LOOPBACK, port, backlog=1024
    )
    async with server:
        await server.serve_forever()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--found", type=int, default=0, help="pending responses to a C-FIND")
    parser.add_argument("--tell", action="store_true", help="print a line for each object")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.found, arguments.tell))


if __name__ == "__main__":
    main()
