"""One folder of examples/, run as its README says, on ports of this run.

The files are used as they are: for a proxy, variables override the ports of its env file; in a command and in the
configuration of a PACS, each documented port is replaced by one that is free.
"""

import re
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final, Self

from tests.integration.peers.dcmtk import ENVIRONMENT, Result
from tests.integration.peers.pair import GRACE_SECONDS, START_SECONDS, STOP_SECONDS, Proxy
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import free_port, listens, wait_until

ROOT: Final = Path(__file__).parents[3]
DOCUMENTED: Final = re.compile(r"(?<![\d.])(4222|4242|4243|4244|8042|8081|8082|8083|1111[2-9])(?!\d)")
"""Every port that an example names."""
NATS_PORT: Final = 4222
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(AbstractContextManager["Example"]):
    """An example with ports of its own; leaving the with block ends what it started."""

    def __init__(self, name: str, folder: Path, *, nats_port: int | None = None) -> None:
        """Starts nothing.

        Args:
            name: of its folder.
            folder: for everything that is written.
            nats_port: of a running nats-server; without it, one that the example starts.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.source: Final = ROOT / "examples" / name
        self.folder: Final = folder
        self.proxies: Final[dict[str, Proxy]] = {}
        self._ports: Final[dict[int, int]] = {} if nats_port is None else {NATS_PORT: nats_port}
        # On a server that others use, too.
        self._root: Final = {} if nats_port is None else {"DIMSE_NATS_SUBJECT_ROOT": f"E{uuid.uuid4().hex[:12]}"}
        self._background: Final[list[ChildProcess]] = []
        self._stack: Final = ExitStack()

    # Names of this run.

    def port(self, documented: int) -> int:
        """The port of this run that stands for a documented one."""
        if documented not in self._ports:
            self._ports[documented] = free_port()
        return self._ports[documented]

    def renumbered(self, text: str) -> str:
        """`text` with the ports and folders of this run."""
        text = DOCUMENTED.sub(lambda match: str(self.port(int(match[1]))), text)
        return text.replace("/tmp/dimse-example", str(self.folder / "data"))  # noqa: S108

    def copy(self, name: str) -> Path:
        """A renumbered copy of one of its files, for programs that take their ports from nowhere else."""
        path = self.folder / name
        path.write_text(self.renumbered((self.source / name).read_text()))
        return path

    def command(self, text: str) -> str:
        """A command of the README for this run's shell."""
        for path in self.source.iterdir():
            if (
                path.suffix in (".json", ".cfg", ".conf")
                and (name := f"examples/{self.source.name}/{path.name}") in text
            ):
                text = text.replace(name, str(self.copy(path.name)))
        return self.renumbered(text).replace(".venv/bin/", f"{Path(sys.executable).parent}/")

    # What runs.

    def start_proxies(self, overrides: Mapping[str, Mapping[str, str]] | None = None, *names: str) -> None:
        """Starts the proxies of all env files (or of `names`) on a nats-server that runs, until they see each other.

        Args:
            overrides: more variables, by the name of the env file without its ending.
            names: of env files without their ending.
        """
        for name in names or sorted(path.stem for path in self.source.glob("*.env")):
            self.start_proxy(name, (overrides or {}).get(name, {}))
        self._wait_until_started(())

    def start_proxy(self, name: str, more: Mapping[str, str], *arguments: str, instance: str = "") -> Proxy:
        """Starts `dimse-proxy run` with an env file."""
        env_file = self.source / f"{name}.env"
        env = {**self._overrides(env_file), **more}
        proxy = Proxy(name + instance, self.folder, env, arguments=("--env-file", str(env_file), *arguments), cwd=ROOT)
        self.proxies[name + instance] = proxy
        self._stack.callback(proxy.process.kill)
        return proxy

    def _overrides(self, env_file: Path) -> dict[str, str]:
        """The variables of an env file that name a documented port or folder, with those of this run."""
        found = dict(re.findall(r"^(DIMSE_\w+)=(.*)$", env_file.read_text(), re.MULTILINE))
        changed = {name: new for name, value in found.items() if (new := self.renumbered(value)) != value}
        if routes := found.get("DIMSE_ROUTES_FILE"):
            changed["DIMSE_ROUTES_FILE"] = str(self.copy(Path(routes).name))
        return {
            **changed,
            **self._root,
            "DIMSE_HTTP_PORT": "",
            "DIMSE_LOG_FORMAT": "json",
            "DIMSE_GRACE_TIMEOUTSECONDS": str(GRACE_SECONDS),
        }

    def _environment(self, text: str) -> dict[str, str]:
        """What overrides the env file that a command names, if it names one."""
        match = re.search(rf"--env-file examples/{self.source.name}/(\w+\.env)", text)
        return {} if match is None else self._overrides(self.source / match[1])

    def background(self, text: str, *, ready: Sequence[int] = ()) -> ChildProcess:
        """Starts a command of the README and returns once each documented port of `ready` is listened on."""
        words = ["bash", "-c", f"exec {self.command(text)}"]
        process = ChildProcess(f"background-{len(self._background)}", words, self.folder, env=ENVIRONMENT, cwd=ROOT)
        self._background.append(process)
        self._stack.callback(process.kill)
        for documented in ready:
            process.wait_for_listener(self.port(documented))
        return process

    def run(self, text: str, *, seconds: float = 60.0) -> Result:
        """Runs a command of the README to its end."""
        done = subprocess.run(
            ["bash", "-c", self.command(text)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            cwd=ROOT,
            env={**ENVIRONMENT, **self._environment(text)},
            check=False,
        )
        return Result(code=done.returncode, output=done.stdout.decode(errors="replace"))

    def script(self, name: str, *arguments: object) -> Result:
        """Runs one of its scripts to its end, with this run's ports for its default ones."""
        module = f"examples.{self.source.name}.{name}"
        return self.run(" ".join(map(str, (".venv/bin/python", "-m", module, *arguments))))

    # The README.

    def follow_readme(self, *, ready: Sequence[int]) -> None:
        """Does what the README says, in order: starts what ends with `&`, runs the rest, compares what is printed.

        Args:
            ready: documented ports that are listened on once everything is started.
        """
        output = ""
        for kind, body in FENCE.findall((self.source / "README.md").read_text()):
            if kind == "sh":
                output = "".join(self._follow(line, ready) for line in body.replace("\\\n", "").splitlines())
            elif not body.startswith(" "):  # not the picture
                self._expect(body, output)

    def _expect(self, lines: str, output: str) -> None:
        """Waits until each of `lines` has been printed, by what runs in the background or in `output`."""

        def missing() -> list[str]:
            printed = plain(output + "".join(process.output() for process in self._background))
            return [line for line in plain(lines).splitlines() if line not in printed.splitlines()]

        wait_until(lambda: not missing(), seconds=START_SECONDS, what=f"{missing()} to be printed, not only {output}")

    def _follow(self, line: str, ready: Sequence[int]) -> str:
        if line.endswith(" &"):
            self._start_as_documented(line.removesuffix(" &"))
            return ""
        if self.proxies:
            self._wait_until_started(ready)
        result = self.run(line)
        assert result.code == 0, f"{line}: exit code {result.code}\n{result.output}"
        return result.output

    def _start_as_documented(self, line: str) -> None:
        match = re.fullmatch(r"\.venv/bin/dimse-proxy run --env-file examples/\w+/(\w+)\.env(.*)", line)
        if match is None:
            self.background(line)
        else:
            self.start_proxy(match[1], {}, *self.renumbered(match[2]).split())

    def _wait_until_started(self, ready: Sequence[int]) -> None:
        for proxy in self.proxies.values():
            proxy.wait_for('"event": "ready', seconds=START_SECONDS)
            proxy.wait_for("peer appeared", seconds=START_SECONDS)
        ports = [self.port(documented) for documented in ready]
        wait_until(lambda: all(map(listens, ports)), seconds=START_SECONDS, what=f"listeners on {ports}")

    # The end.

    def check_and_stop(self) -> None:
        """SIGTERM to the proxies; each must exit with 0 and must have logged no trouble."""
        codes = {}
        for name, proxy in reversed(self.proxies.items()):  # the first one may hold the nats-server
            codes[name] = proxy.process.stop(seconds=GRACE_SECONDS + STOP_SECONDS)
        assert set(codes.values()) == {0}, codes
        troubles = {name: proxy.troubles() for name, proxy in self.proxies.items()}
        assert not any(troubles.values()), troubles

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        with self._stack:
            if kind is None:
                self.check_and_stop()


def plain(text: str) -> str:
    """Without what differs from run to run: UIDs and times."""
    return re.sub(r"\d+(\.\d+){3,}|\d+\.\d+ s", "...", text)
