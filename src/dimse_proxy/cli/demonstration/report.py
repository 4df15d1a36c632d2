"""What the demonstration prints: the picture, the steps, the table, and what one's own tools need to know.

It decides nothing but how things look.
"""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from pydicom.uid import UID
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dimse_proxy.cli.demonstration.failure import StepFailed
from dimse_proxy.cli.demonstration.files import SampleFile
from dimse_proxy.cli.demonstration.proxies import HOST, ProxyProcess
from dimse_proxy.cli.demonstration.workstation import Retrieved

_WIDTH: Final = 120
"""Columns when the output is no terminal."""

_ROOMY: Final = 96
"""Columns from which the table has spaces to spare."""

_LOG_LINES: Final = 12
"""Of each proxy, after a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where everything listens, and under which AE titles."""

    workstation: str
    archive: str
    workstation_port: int
    archive_port: int
    port_a: int
    port_b: int
    nats_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One file's way through the pair and back; times in seconds."""

    file: SampleFile
    stored: float
    moved: Retrieved | None
    got: Retrieved | None

    def is_identical(self) -> bool:
        """Whether it came back both ways, bit for bit."""
        return all(it is not None and it.is_identical(self.file) for it in (self.moved, self.got))


class Report:
    """Writes to standard output; failures to standard error."""

    def __init__(self) -> None:
        console = Console(highlight=False)
        self._console: Final = console if console.is_terminal else Console(highlight=False, width=_WIDTH)
        self._step = "start"

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Prints the step and how long it took; the block appends what it did to the list it is given."""
        self._step = name
        done: list[str] = []
        before = perf_counter()
        yield done
        self._print(f"  {name:<8} {perf_counter() - before:6.2f} s   {', '.join(done)}")

    def title(self, version: str) -> None:
        """The first line."""
        self._print(f"DIMSE Proxy {version}: from a workstation to an archive and back, all on this machine", "bold")

    def picture(self, places: Places) -> None:
        """The ways that the objects take, in three lines."""
        a, b, nats = f"proxy A:{places.port_a}", f"proxy B:{places.port_b}", f"NATS:{places.nats_port}"
        there = f"{places.workstation} --> {a} ==> {nats} ==> proxy B --> {places.archive}:{places.archive_port}"
        back = f"{places.workstation}:{places.workstation_port} <-- proxy A <== {nats} <== {b} <-- {places.archive}"
        self._print("")
        self._print(f"  there    {there}")
        self._print(f"  C-MOVE   {back}")
        self._print(f"  C-GET    back on the association that asked (all ports are of {HOST})")
        self._print("")

    def table(self, journeys: Sequence[Journey]) -> None:
        """What went where and how long it took, a line for each file."""
        room = 1 if self._console.width >= _ROOMY else 0
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, room))
        table.add_column("file", overflow="fold")
        table.add_column("transfer syntax", overflow="fold")
        for heading in ("bytes", "C-STORE", "C-MOVE", "C-GET"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("identical", no_wrap=True)
        for it in journeys:
            table.add_row(
                it.file.path.name,
                _short_name(it.file.transfer_syntax),
                f"{len(it.file.data_set):,}",
                _milliseconds(it.stored),
                "lost" if it.moved is None else _milliseconds(it.moved.seconds),
                "lost" if it.got is None else _milliseconds(it.got.seconds),
                Text("yes", "green") if it.is_identical() else Text("no", "bold red"),
            )
        self._print("")
        self._console.print(table)
        self._print("")
        self._print(
            "Times are milliseconds: of each C-STORE, and from the C-MOVE or C-GET of its study to its arrival."
        )

    def success(self, journeys: Sequence[Journey], seconds: float) -> None:
        """The last line of a run that went well."""
        syntaxes = len({it.file.transfer_syntax for it in journeys})
        text = f"All {len(journeys)} files, in {syntaxes} transfer syntaxes, came back identical both ways."
        self._print(f"{text} {seconds:.1f} s in all.", "bold green")

    def failure(self, error: StepFailed | OSError, proxies: Sequence[ProxyProcess]) -> None:
        """Which step failed and why, and what the proxies said last."""
        sys.stdout.flush()
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"FAILED in step {self._step!r}: {error}", style="bold red", markup=False)
        for proxy in proxies:
            console.print(f"\nThe last lines of {proxy.name}'s log:", markup=False)
            for line in proxy.last_lines(_LOG_LINES) or ["(it has written nothing)"]:
                console.print(f"  {line}", markup=False)

    def how_to_join(self, places: Places, example: SampleFile, logs: Mapping[str, str]) -> None:
        """Commands of DCMTK's tools for the pair that stays up."""
        to = f"-aet {places.workstation} -aec {places.archive} {HOST} {places.port_a}"
        study = f"-k QueryRetrieveLevel=STUDY -k StudyInstanceUID={example.study}"
        listing = "-k QueryRetrieveLevel=STUDY -k StudyInstanceUID -k PatientName -k StudyDate"
        self._print("")
        self._print("The pair stays up until Ctrl-C. With DCMTK, in another terminal:", "bold")
        self._print("")
        for command in (
            f"echoscu {to}",
            f"storescu {to} {shlex.quote(str(example.path))}",
            f"findscu -S {to} {listing}",
            f"getscu -S {to} {study}",
            f"movescu -S +P {places.workstation_port} -aem {places.workstation} {to} {study}",
        ):
            self._print(f"  {command}")
        self._print("")
        self._print(
            f"getscu and movescu write into the current folder. Port {places.workstation_port} is free now: the"
        )
        self._print(f"workstation of this demonstration has left it to you. Call the archive {places.archive}, at the")
        self._print(f"address of proxy A; objects moved to {places.workstation} arrive at that port.")
        self._print("")
        for name, path in logs.items():
            self._print(f"  log of {name}: {path}")

    def farewell(self) -> None:
        """The last line after Ctrl-C, when all has stopped."""
        self._print("Stopped.")

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, soft_wrap=True)


def _short_name(transfer_syntax: UID) -> str:
    """Its keyword (PS3.6), shortened where all of them are long."""
    name = transfer_syntax.keyword or str(transfer_syntax)
    return name.replace("LittleEndian", "LE").replace("BigEndian", "BE")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"
