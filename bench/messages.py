"""What takes a round trip: C-ECHO, C-FIND with its many responses, association set-up and release."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from bench.measurement import Run
from bench.peers import running
from bench.processes import Meter, program, run, start_program
from bench.scale import Scale
from bench.ways import Way, Ways
from bench.workload import DIRECT, MEDIAN, P99, PAIR, RESPONSES, SCP, SCU, Workload


def timing(way: Way, work: str, count: int, folder: Path) -> Callable[[], Run]:
    """What does a plain SCU's `work` so many times, one after the other, through `way`."""

    def measure() -> Run:
        with running(start_program("plain_scp", way.target_port, folder=folder, port=way.target_port)) as scp:
            meter = Meter({**way.processes, SCP: scp.pid})
            said = run(program("plain_scu", work, way.port, count)).said()
            cpu = {SCU: float(said["cpu"]), **meter.cpu()}
        return Run(figures={MEDIAN: said["median"], P99: said["p99"]}, cpu=cpu)

    return measure


class Messages:
    """The work loads of one association that sends little."""

    def __init__(self, ways: Ways, folder: Path, scale: Scale) -> None:
        """Starts nothing yet.

        Args:
            ways: where associations go through.
            folder: for logs.
            scale: how much.
        """
        self._ways: Final = ways
        self._folder: Final = folder
        self._scale: Final = scale

    def echo(self) -> Workload:
        """Latency of a message."""
        count = self._scale.echoes
        ways = self._ways.plain()
        return Workload(
            title="C-ECHO",
            what=f"{count} C-ECHOs one after the other, between an SCU and an SCP that do not poll.",
            contenders={name: timing(way, "echo", count, self._folder) for name, way in ways.items()},
            rounds=self._scale.rounds,
        )

    def association(self) -> Workload:
        """Latency of an association."""
        count = self._scale.associations
        ways = self._ways.plain()
        return Workload(
            title="Association set-up and release",
            what=f"{count} associations one after the other, each a TCP connection, A-ASSOCIATE and A-RELEASE.",
            contenders={name: timing(way, "associate", count, self._folder) for name, way in ways.items()},
            rounds=self._scale.rounds,
        )

    def find(self) -> Workload:
        """Many small messages one way."""
        return Workload(
            title="C-FIND",
            what=f"{self._scale.responses} responses to one C-FIND, between an SCU and an SCP that do not poll.",
            contenders={name: self._finding(way, "plain", 1) for name, way in self._ways.plain().items()},
            rounds=self._scale.rounds,
        )

    def find_pynetdicom(self) -> Workload:
        """The same with the usual peers."""
        ways = (
            self._ways.plain() if self._scale.has_everybody else {DIRECT: self._ways.direct(), PAIR: self._ways.pair()}
        )
        return Workload(
            title="C-FIND, pynetdicom",
            what=f"{self._scale.responses} responses to one C-FIND, pynetdicom at both ends.",
            contenders={name: self._finding(way, "pynetdicom") for name, way in ways.items()},
            rounds=max(3, self._scale.rounds // 2),
        )

    def _finding(self, way: Way, peers: str, *more: object) -> Callable[[], Run]:
        responses, folder, port = self._scale.responses, self._folder, way.target_port

        def find() -> Run:
            with running(start_program(f"{peers}_scp", port, "--found", responses, folder=folder, port=port)) as scp:
                meter = Meter({**way.processes, SCP: scp.pid})
                said = run(program(f"{peers}_scu", "find", way.port, *more)).said()
                return _found(said, responses, {SCU: float(said["cpu"]), **meter.cpu()})

        return find


def _found(said: Mapping[str, Any], responses: int, cpu: Mapping[str, float]) -> Run:
    if said["responses"] != responses:
        raise RuntimeError(f"{said['responses']} responses instead of {responses}")
    return Run(figures={RESPONSES: responses / said["seconds"]}, cpu=cpu)
