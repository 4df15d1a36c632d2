"""A NATS client of a few lines, which says exactly what the server lets pass: its errors and messages come in order.

The server has handled what was sent before a PING once its PONG is here, and what it delivers of that to others is in
their connections' order too. So nothing has to be waited for.
"""

import json
import socket
from types import TracebackType
from typing import Final

from tests.integration.peers.waiting import LOOPBACK


class PlainNats:
    """One connection of one user."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._socket: Final = socket.create_connection((LOOPBACK, port), timeout=20)
        self._lines: Final = self._socket.makefile("rb")
        self._sid = 0
        assert self._lines.readline().startswith(b"INFO ")
        self.send(f"CONNECT {json.dumps({'verbose': False, 'user': user, 'pass': password})}\r\n")
        assert self.settle() == ([], [])

    def send(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def subscribe(self, subject: str) -> None:
        self._sid += 1
        self.send(f"SUB {subject} {self._sid}\r\n")

    def publish(self, subject: str, payload: str) -> None:
        self.send(f"PUB {subject} {len(payload)}\r\n{payload}\r\n")

    def settle(self) -> tuple[list[str], list[tuple[str, str]]]:
        """What came since: the server's errors, and subject and payload of each message."""
        self.send("PING\r\n")
        errors: list[str] = []
        messages: list[tuple[str, str]] = []
        while (line := self._lines.readline()) != b"PONG\r\n":
            assert line, f"the server closed the connection: {errors}"
            kind, _, rest = line.decode().rstrip().partition(" ")
            match kind:
                case "MSG":
                    words = rest.split()
                    payload = self._lines.read(int(words[-1]) + len("\r\n"))
                    messages.append((words[0], payload.decode().rstrip()))
                case "-ERR":
                    errors.append(rest)
                case "PING":
                    self.send("PONG\r\n")
                case _:
                    raise AssertionError(line)
        return errors, messages

    def __enter__(self) -> "PlainNats":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._lines.close()
        self._socket.close()
