"""PyInstaller's part: the executable, and the folder `lib` beside it with whatever it loads.

Also says where each file came from, for the licences. Decides what is left out.
"""

import ast
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.bundle import elf
from tools.bundle.environments import ROOT, Environment, run

NAME: Final = "dicom-dimse-proxy"
LIBRARIES: Final = "lib"

LEFT_OUT: Final = (
    # What other programs do with Python.
    "_pytest", "distutils", "doctest", "ensurepip", "idlelib", "lib2to3", "pdb", "pip", "pkg_resources", "pydoc",
    "pytest", "readline", "setuptools", "tkinter", "turtle", "unittest", "venv", "xmlrpc",
    # Compressions and a source of UUIDs that nothing here uses, each with a library of its own.
    "_bz2", "_lzma", "_uuid", "bz2", "lzma",
    # It has a Python version of itself; this one would need libstdc++.
    "frozenlist._frozenlist",
    # The demonstration's; it is for those who have the source.
    "pydicom", "pynetdicom",
    # The build's own tools have them, and what is inside would use them if they were there.
    "chardet", "lark",
)  # fmt: skip
"""Modules that PyInstaller would take along, or might find."""

OF_THE_MACHINE: Final = ("libgcc_s.so.1",)
"""Libraries that PyInstaller brings and every machine has; ours would only raise the floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What PyInstaller made."""

    folder: Path
    """With the executable and `lib`."""
    sources: Mapping[str, Path]
    """Name of each file below `lib` -> the file that it was copied from."""
    glibc: elf.Version
    """The oldest glibc that can run it."""


def freeze(work: Path, builder: Environment, runtime: Environment, more: Mapping[str, str]) -> Frozen:
    """Runs PyInstaller and looks at what came out."""
    dist, entry = work / "dist", ROOT / "tools" / "bundle" / "entry.py"
    excluded = [part for module in LEFT_OUT for part in ("--exclude-module", module)]
    run(
        [builder.python, "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level", "ERROR", "--strip", "--noupx",
         "--name", NAME, "--contents-directory", LIBRARIES, "--collect-data", "dimse_proxy",
         "--collect-submodules", "dimse_proxy.cli", *excluded,
         "--distpath", dist, "--workpath", work / "pyinstaller", "--specpath", work, entry],
        more={**more, "PYTHONPATH": str(runtime.site_packages), "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    folder = dist / NAME
    for name in OF_THE_MACHINE:
        (folder / LIBRARIES / name).unlink(missing_ok=True)
    found = {path.name: elf.needs(path) for path in files(folder) if elf.is_elf(path)}
    if lacking := elf.missing(found):
        sys.exit(f"files of the bundle need libraries that are neither in it nor on every machine: {lacking}")
    tables = work / "pyinstaller" / NAME
    copied = read_table(tables / "COLLECT-00.toc")
    sources = {name: path for name, path in copied.items() if (folder / LIBRARIES / name).is_file()}
    if strangers := of_the_tools({**read_table(tables / "PYZ-00.toc"), **sources}, builder.folder):
        sys.exit(f"parts of the build's own tools are in the bundle; LEFT_OUT has to name them: {strangers}")
    return Frozen(folder=folder, sources=sources, glibc=elf.floor(found.values()))


def of_the_tools(sources: Mapping[str, Path], builder: Path) -> list[str]:
    """What comes from the tools' environment and is not PyInstaller's own."""
    own = re.compile(r"/(PyInstaller|_pyinstaller_hooks_contrib)/")
    return sorted(
        name for name, path in sources.items() if path.is_relative_to(builder) and not own.search(path.as_posix())
    )


def files(folder: Path) -> Iterable[Path]:
    """The files of a folder and all below, no links, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def read_table(path: Path) -> dict[str, Path]:
    """What one of PyInstaller's tables lists: name -> source. It is a Python literal with lists of triples inside."""
    entries: dict[str, Path] = {}

    def walk(value: object) -> None:
        match value:
            case (str(name), str(source), str()) if source.startswith("/"):
                entries[name] = Path(source)
            case list() | tuple():
                for item in value:
                    walk(item)

    walk(ast.literal_eval(path.read_text(encoding="utf-8")))
    return entries


def copy_into(frozen: Frozen, folder: Path) -> None:
    """Puts the executable and `lib` into the bundle's folder."""
    shutil.copytree(frozen.folder, folder, symlinks=True, dirs_exist_ok=True)
