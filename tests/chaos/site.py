"""One site's load, a process of its own: an SCP that its proxy calls, and SCUs that call its proxy.

Run as `python -m tests.chaos.site FILE`, FILE being JSON with `port` and `account`. Commands come as JSON lines on
standard input, figures go as JSON lines to standard output; `leave` writes the account and ends the process. Used
through `tests.chaos.load`.
"""

import contextlib
import json
import math
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.chaos.accounts import Account
from tests.chaos.stream import (
    MAXIMUM_LENGTH,
    USER,
    AbortedError,
    Association,
    Content,
    RefusedError,
    Stalled,
    Stream,
    field_of,
    instance_of,
    numbers,
    parameters,
)
from tests.integration.peers.waiting import LOOPBACK
from tests.integration.wire import pdus

STALL_AFTER: Final = 256 * 1024
"""Bytes of an object after which an SCP stops reading that is told to stall by the calling AE title."""
AFTER_A_REFUSAL: Final = 0.3
"""Seconds before a refused association is asked for again, as SCUs retry."""


FIGURES: Final = (
    "received",  # bytes of data sets, at the SCP
    "objects",  # at the SCP
    "answers",  # of C-FINDs that are complete
    "moves",
    "aborted",
    "ended_at_scp",  # without a release
    "refused",
    "running",  # associations of the SCUs
    "loads",
    "fewest_turns",  # associations that the load with the fewest has had
)


class Pace:
    """Bytes a second for all SCUs of the site."""

    def __init__(self) -> None:
        self.rate = math.inf
        self._lock: Final = threading.Lock()
        self._free_at = 0.0

    def __call__(self, count: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - 0.25) + count / self.rate
            wait = self._free_at - now
        if wait > 0:
            time.sleep(wait)


class Site:
    """The SCP, the SCUs and their account."""

    def __init__(self, name: str, port: int) -> None:
        self.name: Final = name
        self.account: Final = Account()
        self.pace: Final = Pace()
        self.figures: Final = dict.fromkeys(FIGURES, 0)
        self._lock: Final = threading.Lock()
        self._over: Final = threading.Event()
        self._loads: Final[list[threading.Thread]] = []
        self._number = 0
        self._listener: Final = socket.create_server((LOOPBACK, port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _count(self, name: str, by: int = 1) -> None:
        with self._lock:
            self.figures[name] += by

    def _next_uid(self) -> str:
        with self._lock:
            self._number += 1
            return f"1.2.840.99.{ord(self.name[0])}.{len(self.name)}.{self._number}"

    # The SCP.

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve_safely, args=(Stream(sock),), daemon=True).start()

    def _serve_safely(self, stream: Stream) -> None:
        try:
            self._serve(stream)
        except (AbortedError, Stalled) as error:  # the SCU of this association counts it
            with self._lock:
                self.account.ended_at_scp.append(str(error))
            self._count("ended_at_scp")
        except Exception as error:  # told in the account, which fails the test
            self.account.wrong.append(f"SCP of {self.name}: {error!r}")
        finally:
            stream.close()

    def _serve(self, stream: Stream) -> None:
        kind, request = stream.read_pdu()
        if kind != pdus.RQ:
            return
        calling = bytes(request[26:42]).decode().strip()
        stall = float(calling.removeprefix("STALL-")) if calling.startswith("STALL-") else 0.0
        stream.send(pdus.simple_ac(bytes(request), USER))
        while True:
            kind, pdu = stream.read_pdu()
            if kind == pdus.RELEASE_RQ:
                stream.send(pdus.release_rp())
                return
            assert kind == pdus.P_DATA, f"a PDU of type {kind}"
            context, command = pdu[10], bytes(pdu[12:])
            match field_of(command):
                case 0x0030:
                    stream.send(pdus.command_pdu(pdus.echo_rsp(), context))
                case 0x0001:
                    self._stored(stream, command, stall)
                case 0x0020:
                    self._find(stream)
                case 0x0021:
                    self._move(stream)
                case other:
                    raise AssertionError(f"command {other:04X}")

    def _stored(self, stream: Stream, command: bytes, stall: float) -> None:
        uid = instance_of(command)
        before = 0

        def arrived(count: int) -> None:
            nonlocal before
            self._count("received", count)
            if stall and before < STALL_AFTER <= before + count:
                time.sleep(stall)
            before += count

        content = stream.receive_object(arrived)
        with self._lock:
            self.account.received.setdefault(uid, []).append([content.length, content.digest])
        self._count("objects")
        stream.send(pdus.command_pdu(pdus.store_rsp(instance=uid), 3))

    def _find(self, stream: Stream) -> None:
        count, interval, length = numbers(bytes(stream.read_pdv()[2]))
        filling = pdus.element(0x00104000, b"x" * (int(length) // 2 * 2))
        for number in range(int(count)):
            if interval:
                time.sleep(interval)
            stream.send(pdus.command_pdu(pdus.find_rsp(status=0xFF00, data=True), 5))
            stream.send(pdus.p_data(pdus.pdv(5, parameters(number) + filling, command=False, last=True)))
        stream.send(pdus.command_pdu(pdus.find_rsp(), 5))

    def _move(self, stream: Stream) -> None:
        count, length = (int(number) for number in numbers(bytes(stream.read_pdv()[2])))
        with self._associate(self._move_port, "MOVER") as association:
            for _ in range(count):
                self._store(association, length)
                stream.send(pdus.command_pdu(move_rsp(0xFF00), 7))
        self._count("running", -1)
        with self._lock:
            self.account.associations += 1
        stream.send(pdus.command_pdu(move_rsp(0x0000), 7))

    _move_port = 0

    # The SCUs.

    def _associate(self, port: int, calling: str) -> Association:
        """Ask until accepted: a refusal is transient, and an SCU that is refused tries again."""
        while True:
            try:
                association = Association(port, calling=calling)
            except RefusedError as error:
                with self._lock:
                    self.account.refused.append(str(error.args))
                self._count("refused")
                time.sleep(AFTER_A_REFUSAL)
            else:
                self._count("running")
                return association

    def _store(self, association: Association, length: int) -> Content:
        uid = self._next_uid()
        try:
            content = association.store(uid, length, pace=self.pace)
        except Exception as error:
            with self._lock:
                self.account.failed[uid] = repr(error)
            raise
        with self._lock:
            self.account.sent[uid] = [content.length, content.digest]
        return content

    def _attempt(self, what: Callable[[Association], None], port: int, calling: str) -> None:
        """One association, with everything that may become of it in the account."""
        association = None
        try:
            association = self._associate(port, calling)
            what(association)
            association.release()
            with self._lock:
                self.account.associations += 1
        except (AbortedError, Stalled, OSError) as error:
            self._count("aborted")
            self.account.aborted.append(str(error))
            time.sleep(AFTER_A_REFUSAL)
        except Exception as error:  # told in the account, which fails the test
            self.account.wrong.append(f"{calling} of {self.name}: {error!r}")
            time.sleep(AFTER_A_REFUSAL)
        finally:
            if association is not None:
                association.close()
                self._count("running", -1)

    def _repeat(self, what: Callable[[random.Random], tuple[str, Callable[[Association], None]]], port: int) -> None:
        """Start a load that goes on until `finish`."""
        number = len(self._loads)
        generator = random.Random(number)
        self._over.clear()
        with self._lock:
            self.account.turns.append(0)
            self.figures["fewest_turns"] = 0

        def run() -> None:
            while not self._over.is_set():
                calling, work = what(generator)
                self._attempt(work, port, calling)
                with self._lock:
                    self.account.turns[number] += 1
                    self.figures["fewest_turns"] = min(self.account.turns)
            self._count("loads", -1)

        thread = threading.Thread(target=run, daemon=True)
        self._loads.append(thread)
        self._count("loads")
        thread.start()

    # What the bench asks for.

    def store(self, port: int, associations: int, least: int, most: int, per_association: int, calling: str) -> None:
        """C-STORE of objects whose length is any from `least` to `most`, as often each order of magnitude."""

        def load(generator: random.Random) -> tuple[str, Callable[[Association], None]]:
            count = generator.randint(1, per_association)
            lengths = [int(math.exp(generator.uniform(math.log(least), math.log(most)))) for _ in range(count)]

            def work(association: Association) -> None:
                association.maximum = generator.choice((16384, MAXIMUM_LENGTH))
                for length in lengths:
                    if not self._over.is_set():
                        self._store(association, length & ~1)

            return calling, work

        for _ in range(associations):
            self._repeat(load, port)

    def find(self, port: int, count: int, interval: float) -> None:
        """Long C-FINDs of a slow SCP."""

        def work(association: Association) -> None:
            association.find(count, interval)
            with self._lock:
                self.account.finds += 1
                self.account.answers += count
            self._count("answers", count)

        self._repeat(lambda _: ("FINDER", work), port)

    def move(self, port: int, count: int, length: int) -> None:
        """C-MOVEs whose sub-operations come back through the pair."""

        def work(association: Association) -> None:
            association.move(count, length)
            with self._lock:
                self.account.moves += 1
            self._count("moves")

        self._repeat(lambda _: ("MOVER", work), port)

    def settings(self, move_port: int | None = None, rate: float | None = None) -> None:
        """Where C-MOVE sub-operations go, and how many bytes a second all C-STOREs together may send."""
        if move_port is not None:
            self._move_port = move_port
        if rate is not None:
            self.pace.rate = rate

    def finish(self) -> None:
        """Start nothing more; `loads` of the figures tells when the last one has come to its end."""
        self._over.set()


def move_rsp(status: int) -> bytes:
    """A C-MOVE-RSP."""
    return pdus.response(0x8021, pdus.STUDY_MOVE, 1, status)


def main() -> None:
    """Serve the bench."""
    given = json.loads(Path(sys.argv[1]).read_text())
    site = Site(given["name"], given["port"])

    def tell() -> None:
        while True:
            with contextlib.suppress(OSError):
                sys.stdout.write(json.dumps(site.figures) + "\n")
                sys.stdout.flush()
            time.sleep(0.1)

    threading.Thread(target=tell, daemon=True).start()
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        if name == "leave":
            break
        getattr(site, name)(**command)
    site.account.save(Path(given["account"]))


if __name__ == "__main__":
    main()
