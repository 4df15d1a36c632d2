"""DCMTK's programs: SCPs as child processes, SCUs run to their end with their output.

They read DCMTK's data dictionary from where Debian puts it.
"""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK

# With TCP_NODELAY=1 at both ends DCMTK does not stall 40 ms on every message, which keeps the tests quick.
ENVIRONMENT: Final = {**os.environ, "TCP_NODELAY": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a program said and how it ended."""

    code: int
    output: str

    def ok(self) -> "Result":
        """Itself, if the program succeeded."""
        assert self.code == 0, f"exit code {self.code}:\n{self.output[-6000:]}"
        return self


def run(*command: object, seconds: float = 60.0, cwd: Path | None = None) -> Result:
    """Runs a program to its end, standard output and error in one."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        cwd=cwd,
        env=ENVIRONMENT,
        check=False,
    )
    return Result(code=done.returncode, output=done.stdout.decode(errors="replace"))


def scu(
    program: str,
    port: int,
    *options: object,
    files: Iterable[Path] = (),
    called: str = "TARGET",
    calling: str = "ASKER",
    cwd: Path | None = None,
) -> Result:
    """Runs one of DCMTK's SCUs, such as `echoscu`, against a loopback port.

    Args:
        program: its name.
        port: of the peer.
        options: those before host and port.
        files: the arguments after host and port.
        called: AE title.
        calling: AE title.
        cwd: working directory.
    """
    return run(program, "-v", "-aet", calling, "-aec", called, *options, LOOPBACK, port, *files, cwd=cwd)


class Scp:
    """One of DCMTK's SCPs; leaving the with block ends it."""

    def __init__(self, program: str, port: int, folder: Path, *arguments: object, name: str | None = None) -> None:
        """Starts `program` and waits until it listens.

        Args:
            program: its name.
            port: that it is told, in `arguments`, to listen on.
            folder: for its output; made if it is missing.
            arguments: its whole command line after the program.
            name: for its output files; without it, the program's.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.port: Final = port
        self.folder: Final = folder
        self.process: Final = ChildProcess(
            name or program, [program, *(str(part) for part in arguments)], folder, env=ENVIRONMENT
        )
        self.process.wait_for_listener(port)

    def log(self) -> str:
        return self.process.output()

    def __enter__(self) -> "Scp":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.stop()


def storescp(port: int, folder: Path, *options: object, ae: str = "TARGET") -> Scp:
    """A storage SCP for any SOP class and transfer syntax, writing what it reads, as it is, into `folder`/received."""
    received = folder / "received"
    received.mkdir(parents=True, exist_ok=True)
    return Scp("storescp", port, folder, "-v", "-aet", ae, "-pm", "+xa", "+B", "+uf", "-od", received, *options, port)


def dcmrecv(port: int, folder: Path, *options: object, ae: str = "TARGET") -> Scp:
    """DCMTK's other storage SCP, writing what it reads, as it is, into `folder`/received."""
    received = folder / "received"
    received.mkdir(parents=True, exist_ok=True)
    config = "/etc/dcmtk/storescp.cfg"
    profile = ("-xf", config, "Default")
    return Scp("dcmrecv", port, folder, "-v", "-aet", ae, *profile, "+B", "+fu", "-od", received, *options, port)


def dcmqrscp(
    port: int, folder: Path, *options: object, ae: str = "TARGET", peers: Mapping[str, int] | None = None
) -> Scp:
    """A query/retrieve and storage SCP.

    Args:
        port: to listen on.
        folder: for its configuration and database.
        options: more of its command line.
        ae: AE title.
        peers: its move destinations, AE title to loopback port.
    """
    database = folder / "database"
    database.mkdir(parents=True, exist_ok=True)
    hosts = "\n".join(f"{title} = ({title}, {LOOPBACK}, {number})" for title, number in (peers or {}).items())
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 256\n"
        f"HostTable BEGIN\n{hosts}\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{ae} {database} RW (1000, 1024mb) ANY\nAETable END\n"
    )
    return Scp("dcmqrscp", port, folder, "-v", "-c", config, "-dhl", *options, port)


def wlmscpfs(port: int, folder: Path, *options: object) -> Scp:
    """A modality worklist SCP; each AE title has a folder of `folder`/worklists, with `lockfile` and `.wl` files."""
    return Scp("wlmscpfs", port, folder, "-v", "-dfp", folder / "worklists", "-dhl", *options, port)
