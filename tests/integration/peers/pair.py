"""Two proxies, channel A and channel B, joined by a nats-server.

`Pair` is what the tests send their associations through. SCUs of the enterprise zone call `pair.a.port`, SCUs of the
cloud zone `pair.b.port`; `target_a` and `target_b` are the AEs that each proxy calls for the other side.
"""

import json
import os
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

LogLine = dict[str, Any]

# A graceful stop waits for running associations this long; tests that leave one open expect the abort soon after.
GRACE_SECONDS: Final = 2

# Bounds for a machine that is busy with something else; whatever they bound takes less than a second on its own.
START_SECONDS: Final = 40.0
STOP_SECONDS: Final = 20.0

PRODUCT: Final = "dimse_proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The AE that a proxy calls for associations from the other side."""

    port: int
    ae: str = "TARGET"
    host: str = LOOPBACK


class Proxy:
    """One `dimse-proxy run` process."""

    def __init__(
        self,
        name: str,
        folder: Path,
        env: Mapping[str, str],
        *,
        module: str = PRODUCT,
        arguments: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> None:
        """Starts it with `env` on top of this process's environment without its DIMSE_ variables.

        Args:
            name: for its log.
            folder: for its log.
            env: variables; DIMSE_PORT has to be among them.
            module: what is run.
            arguments: more words of its command line.
            cwd: its working directory; without it, `folder`.
        """
        self.name: Final = name
        self.port: Final = int(env["DIMSE_PORT"])
        self.env: Final = dict(env)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DIMSE_")}
        command = [sys.executable, "-m", module, "run", *arguments]
        folder.mkdir(parents=True, exist_ok=True)
        self.process: Final = ChildProcess(name, command, folder, env={**inherited, **env}, cwd=cwd)

    def log_lines(self) -> list[LogLine]:
        """Every complete line of its log so far; a line that is not JSON appears as `{"raw": text}`."""
        lines: list[LogLine] = []
        for text in self.process.stderr_path.read_text(errors="replace").splitlines(keepends=True):
            if not text.endswith("\n"):
                continue
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            lines.append(line if isinstance(line, dict) else {"raw": text.rstrip("\n")})
        return lines

    def find(self, pattern: str) -> list[LogLine]:
        """The log lines whose JSON text matches the regular expression, letter case ignored."""
        compiled = re.compile(pattern, re.IGNORECASE)
        return [line for line in self.log_lines() if compiled.search(json.dumps(line))]

    def wait_for(self, pattern: str, *, seconds: float = 20.0) -> list[LogLine]:
        """Waits for a log line that matches and returns all that do."""

        def check() -> list[LogLine]:
            found = self.find(pattern)
            assert found or self.process.is_running(), f"{self.name} ended:\n{self.process.output()[-4000:]}"
            return found

        try:
            return wait_until(check, seconds=seconds, what=f"{self.name} to log {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.output()[-4000:]}") from None

    def troubles(self, allowed: str | None = None) -> list[LogLine]:
        """Log lines of level error or worse, and all that is not JSON (tracebacks, warnings of Python's)."""
        compiled = None if allowed is None else re.compile(allowed, re.IGNORECASE)
        bad = [
            line
            for line in self.log_lines()
            if "raw" in line or "exception" in line or str(line.get("level", "")).lower() in ("error", "critical")
        ]
        return [line for line in bad if compiled is None or not compiled.search(json.dumps(line))]

    def rss(self) -> int:
        return self.process.rss()


class Pair:
    """Proxy A and proxy B on one nats-server; `stop()` ends both and checks how they ended."""

    def __init__(
        self,
        nats_url: str,
        folder: Path,
        *,
        target_a: Target | None = None,
        target_b: Target | None = None,
        env_a: Mapping[str, str] | None = None,
        env_b: Mapping[str, str] | None = None,
        module: str = PRODUCT,
    ) -> None:
        """Starts both and waits until each is ready and sees the other.

        Args:
            nats_url: of the server that both use.
            folder: for their logs.
            target_a: the AE that A calls for associations accepted by B; without it, A only originates.
            target_b: the AE that B calls for associations accepted by A; without it, B only originates.
            env_a: additional or other DIMSE_ variables of A.
            env_b: additional or other DIMSE_ variables of B.
            module: what is run, of this folder's if it is not the product.
        """
        self.folder: Final = folder
        self.root: Final = f"T{uuid.uuid4().hex[:12]}"
        self.target_a: Final = target_a
        self.target_b: Final = target_b
        self.allowed_troubles: str | None = None
        self._stopped = False
        self._known_troubles: dict[str, int] = {}
        cwd = None if module == PRODUCT else Path.cwd()
        env_of_a, env_of_b = (
            self._env(nats_url, channel, target, env)
            for channel, target, env in (("A", target_a, env_a), ("B", target_b, env_b))
        )
        self.a: Final = Proxy("proxy-a", folder, env_of_a, module=module, cwd=cwd)
        self.b: Final = Proxy("proxy-b", folder, env_of_b, module=module, cwd=cwd)
        try:
            for proxy in (self.a, self.b):
                proxy.wait_for("ready", seconds=START_SECONDS)
            for proxy in (self.a, self.b):
                proxy.wait_for("peer appeared", seconds=START_SECONDS)
        except AssertionError:
            self.kill()
            raise

    def _env(
        self, nats_url: str, channel: str, target: Target | None, more: Mapping[str, str] | None
    ) -> dict[str, str]:
        env = {
            "DIMSE_NATS_URL": nats_url,
            "DIMSE_NATS_SUBJECT_ROOT": self.root,
            "DIMSE_NATS_SUBJECT_CHANNEL": channel,
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(free_port()),
            "DIMSE_AE": "*",
            "DIMSE_CALLING_AE": "original",
            "DIMSE_CONFIG_PATH": str(self.folder / "no-dimse-config"),
            "DIMSE_LOG_FORMAT": "json",
            "DIMSE_HTTP_PORT": "",
            "DIMSE_GRACE_TIMEOUTSECONDS": str(GRACE_SECONDS),
        }
        if target is not None:
            env |= {
                "DIMSE_TARGET_HOST": target.host,
                "DIMSE_TARGET_PORT": str(target.port),
                "DIMSE_TARGET_AE": target.ae,
            }
        return {**env, **(more or {})}

    def proxies(self) -> tuple[Proxy, Proxy]:
        return self.a, self.b

    def rss(self, side: str) -> int:
        """Resident memory of `a` or `b`, in bytes."""
        return {"a": self.a, "b": self.b}[side.lower()].rss()

    def check_logs(self) -> None:
        """Fails if, since the last check, a proxy logged a trouble that `allowed_troubles` does not match."""
        new = {}
        for proxy in self.proxies():
            troubles = proxy.troubles(self.allowed_troubles)
            new[proxy.name] = troubles[self._known_troubles.get(proxy.name, 0) :]
            self._known_troubles[proxy.name] = len(troubles)
        assert not any(new.values()), f"trouble in the logs: {new}"

    def stop(self) -> None:
        """SIGTERM to both; each must exit with 0 within its grace period and must have logged no trouble."""
        if self._stopped:
            return
        self._stopped = True
        codes = {proxy.name: proxy.process.stop(seconds=GRACE_SECONDS + STOP_SECONDS) for proxy in self.proxies()}
        assert codes == {"proxy-a": 0, "proxy-b": 0}, f"{codes}\n{self.a.process.output()[-2000:]}"
        self.check_logs()

    def kill(self) -> None:
        """Ends both without looking at how."""
        self._stopped = True
        for proxy in self.proxies():
            proxy.process.kill()

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()
