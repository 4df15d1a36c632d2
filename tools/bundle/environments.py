"""The two virtual environments of a build, each with exactly what `deploy/requirements/` locks.

`builder` holds the tools, `runtime` what goes into the bundle: licences and SBOM are read from it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
REQUIREMENTS: Final = ROOT / "deploy" / "requirements"
WHEEL_PLATFORM: Final = "x86_64-manylinux_2_28"
"""Wheels for this, even on a newer machine: RHEL 8 is the oldest system that hospitals still have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where its packages are."""
        return next((self.folder / "lib").glob("python3*")) / "site-packages"


def run(command: Sequence[str | Path], *, more: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Runs a program to its end and returns its standard output; ends this one with its words if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(more or {})},
        cwd=cwd,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(str(part) for part in command)}\n{done.stdout[-8000:]}{done.stderr[-8000:]}")
    return done.stdout


def make_builder(folder: Path, python: str) -> Environment:
    """The environment of the tools. pip installs it: there is no uv yet."""
    builder = Environment(folder=folder)
    run([python, "-m", "venv", "--clear", folder])
    run([builder.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
         "--only-binary", ":all:", "--no-deps", "-r", REQUIREMENTS / "build.txt"])  # fmt: skip
    return builder


def make_runtime(folder: Path, builder: Environment, wheel: Path) -> Environment:
    """The environment of what is released: the proxy and what it needs, in wheels that old systems can load."""
    uv = builder.folder / "bin" / "uv"
    run([uv, "venv", "--quiet", "--clear", "--python", builder.python, folder])
    runtime = Environment(folder=folder)
    run([uv, "pip", "install", "--quiet", "--python", runtime.python, "--python-platform", WHEEL_PLATFORM,
         "--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", REQUIREMENTS / "runtime.txt"])  # fmt: skip
    run([uv, "pip", "install", "--quiet", "--python", runtime.python, "--no-deps", wheel])
    return runtime


def build_wheel(builder: Environment, folder: Path, more: Mapping[str, str]) -> Path:
    """The proxy's own wheel, by the locked hatchling."""
    run([builder.python, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], more=more)
    (wheel,) = folder.glob("*.whl")
    return wheel
