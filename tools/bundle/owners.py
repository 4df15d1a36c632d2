"""Whose a shared library of the build machine is: the Debian or RPM package it came with, and its licence's text."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCUMENTS: Final = Path("/usr/share/doc")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackage:
    """A package of the distribution."""

    name: str
    version: str
    purl: str
    """As SBOMs name it."""
    licences: tuple[Path, ...]
    """Files with its licence."""
    licence: str = ""
    """Its name, where packages have that instead of a text."""


def owner(path: Path) -> SystemPackage | None:
    """The package that `path` belongs to; None where neither dpkg nor rpm knows it."""
    # Where /lib is a link to /usr/lib, packages list either.
    names = dict.fromkeys((str(path), os.path.realpath(path), os.path.realpath(path).removeprefix("/usr")))
    ways: dict[str, Callable[[str], SystemPackage | None]] = {"dpkg-query": _of_debian, "rpm": _of_rpm}
    for program, way in ways.items():
        if shutil.which(program) is not None:
            for name in names:
                if (found := way(name)) is not None:
                    return found
    return None


def _said(*command: str) -> str:
    """Standard output; nothing when the program fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return done.stdout if done.returncode == 0 else ""


def _of_debian(path: str) -> SystemPackage | None:
    package = _said("dpkg-query", "--search", path).split(": ")[0].strip()
    if not package:
        return None
    name, _, architecture = package.partition(":")
    version = _said("dpkg-query", "--show", "--showformat=${Version}", package).strip()
    licence = DOCUMENTS / name / "copyright"
    return SystemPackage(
        name=name,
        version=version,
        purl=f"pkg:deb/debian/{name}@{version}" + (f"?arch={architecture}" if architecture else ""),
        licences=(licence,) if licence.is_file() else (),
    )


def _of_rpm(path: str) -> SystemPackage | None:
    said = _said("rpm", "--query", "--file", "--queryformat", "%{NAME}|%{VERSION}-%{RELEASE}|%{LICENSE}", path)
    if said.count("|") != 2:
        return None
    name, version, licence = said.split("|")
    listed = _said("rpm", "--query", "--licensefiles", name).splitlines()
    return SystemPackage(
        name=name,
        version=version,
        purl=f"pkg:rpm/{name}@{version}",
        licences=tuple(Path(line) for line in listed if Path(line).is_file()),
        licence=licence,
    )
