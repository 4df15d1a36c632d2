"""A real syslog receiver: rsyslog with the configuration that docs/audit.md prints, on free loopback ports."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.certificates import Authority
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

DOCUMENT: Final = (Path(__file__).resolve().parents[3] / "docs" / "audit.md").read_text()
RSYSLOGD: Final = shutil.which("rsyslogd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or "rsyslogd"
PROXY_NAME: Final = "proxy-a.example.org"
BOM: Final = "\ufeff"


def printed() -> str:
    """The configuration of the document."""
    (text,) = re.findall(r"```\n(# /etc/rsyslog.d/dimse-audit.conf\n.*?)```", DOCUMENT, re.DOTALL)
    return str(text)


class Rsyslog:
    """An rsyslogd; `authority` has signed its certificate, and signs those of the proxies that it takes."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        """Makes its files; `start` starts it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder: Final = folder
        self.tls_port: Final = free_port()
        self.udp_port: Final = free_port()
        self.log: Final = folder / "audit.log"
        self.ca: Final = authority.pem(folder / "ca.pem")
        self._process: ChildProcess | None = None
        key, certificate = authority.issue("rsyslog", kind="rsa").key_and_certificate(folder, "rsyslog")
        text = printed()
        for old, new in (
            ("/etc/rsyslog/ca.pem", f"{self.ca}"),
            ("/etc/rsyslog/tls.crt", f"{certificate}"),
            ("/etc/rsyslog/tls.key", f"{key}"),
            ("/var/log/dimse-audit.log", f"{self.log}"),
            ('port="6514"', f'port="{self.tls_port}" address="{LOOPBACK}"'),
            ('port="514"', f'port="{self.udp_port}" address="{LOOPBACK}"'),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self._config: Final = folder / "rsyslog.conf"
        self._config.write_text(text)

    def start(self) -> "Rsyslog":
        """Starts it and waits until it listens."""
        command = [RSYSLOGD, "-n", "-f", str(self._config), "-i", str(self.folder / "rsyslog.pid")]
        self._process = ChildProcess("rsyslog", command, self.folder)
        self._process.wait_for_listener(self.tls_port)
        return self

    def stop(self) -> None:
        """Ends it in order."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def output(self) -> str:
        """What it says about itself."""
        return "" if self._process is None else self._process.output()

    @property
    def tls_url(self) -> str:
        return f"tls://localhost:{self.tls_port}"

    @property
    def udp_url(self) -> str:
        return f"udp://{LOOPBACK}:{self.udp_port}"

    def messages(self) -> list[bytes]:
        """The XML of each message that arrived, in order."""
        if not self.log.exists():
            return []
        return [line.partition(BOM)[2].encode() for line in self.log.read_text().split("\n")[:-1]]

    def wait_for(self, condition: Callable[[list[bytes]], bool], what: str) -> list[bytes]:
        """Waits until what arrived is as it should be, and returns it."""

        def arrived() -> list[bytes]:
            found = self.messages()
            return found if condition(found) else []

        try:
            return wait_until(arrived, seconds=40, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}; {len(self.messages())} arrived\n{self.output()[-2000:]}") from None
