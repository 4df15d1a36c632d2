"""What programs and libraries need of the machine they run on, as their ELF headers say (read by binutils' objdump)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.bundle.environments import run

MAGIC: Final = b"\x7fELF"

OF_EVERY_MACHINE: Final = re.compile(
    r"(libc|libm|libdl|libpthread|librt|libutil|libresolv|ld-linux-x86-64|libgcc_s)\.so\.[0-9]+"
)
"""glibc's own, and the one library that every system with glibc has beside it."""

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one file needs."""

    libraries: frozenset[str]
    """Names of shared libraries."""
    glibc: Version
    """The newest version of glibc that a symbol of it is from; (0,) for none."""


def is_elf(path: Path) -> bool:
    """Whether the file is a program or a shared library."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def parse(text: str) -> Needs:
    """Reads what `objdump --private-headers` prints."""
    versions = [tuple(int(part) for part in found.split(".")) for found in re.findall(r"GLIBC_([0-9.]+)", text)]
    return Needs(
        libraries=frozenset(re.findall(r"^\s+NEEDED\s+(\S+)", text, re.MULTILINE)),
        glibc=max(versions, default=(0,)),
    )


def needs(path: Path) -> Needs:
    """What the file at `path` needs."""
    return parse(run(["objdump", "--private-headers", path]))


def missing(found: dict[str, Needs]) -> dict[str, frozenset[str]]:
    """Files of a folder that need libraries which are neither in it nor on every machine, and which.

    Args:
        found: name of each file -> what it needs.
    """
    lacking = {
        name: frozenset(
            library for library in of.libraries if library not in found and not OF_EVERY_MACHINE.fullmatch(library)
        )
        for name, of in found.items()
    }
    return {name: libraries for name, libraries in lacking.items() if libraries}


def floor(found: Iterable[Needs]) -> Version:
    """The oldest glibc that can load all of them."""
    return max((of.glibc for of in found), default=(0,))


def written(version: Version) -> str:
    """`2.35`."""
    return ".".join(str(part) for part in version)
