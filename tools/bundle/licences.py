"""The licences of what is inside the bundle: a folder with their texts, and a list of whose they are.

Nothing gets in without one: what has no licence text stops the build.
"""

import re
import shutil
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from tools.bundle.environments import Environment
from tools.bundle.frozen import Frozen
from tools.bundle.owners import SystemPackage, owner

TEXT: Final = re.compile(r"(licen[cs]e|copying|notice|copyright|authors)", re.IGNORECASE)
"""Names of files that are, or go with, a licence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that is inside."""

    name: str
    version: str
    licence: str
    """In few words, or as SPDX; empty where only the text tells."""
    texts: tuple[Path, ...]
    package: SystemPackage | None = None
    """Where it is the build machine's."""


class LicenceError(Exception):
    """Something inside has no licence that we know of."""


def declared(distribution: Distribution) -> str:
    """What the metadata says, in one line."""
    metadata = distribution.metadata
    for field in ("License-Expression", "License"):
        text = metadata[field].strip() if field in metadata else ""
        if text and len(text.splitlines()) == 1:
            return text
    classifiers = metadata.get_all("Classifier") or []
    return ", ".join(entry.rpartition(" :: ")[2] for entry in classifiers if entry.startswith("License :: "))


def of_distribution(distribution: Distribution) -> Part:
    """A Python package."""
    texts = [
        Path(str(distribution.locate_file(file)))
        for file in distribution.files or ()
        if ".dist-info" in file.parts[0] and TEXT.search(file.name)
    ]
    return Part(
        name=distribution.metadata["Name"],
        version=distribution.version,
        licence=declared(distribution),
        texts=tuple(sorted(texts)),
    )


def of_packages(site_packages: Path) -> list[Part]:
    """Every Python package of an environment."""
    found = [of_distribution(distribution) for distribution in distributions(path=[str(site_packages)])]
    return sorted(found, key=lambda part: part.name.lower())


def of_python(libpython: Path | None, version: str, standard_library: Path) -> Part:
    """The interpreter: of the distribution where it has one, else with its own licence file."""
    package = None if libpython is None else owner(libpython)
    own = standard_library / "LICENSE.txt"
    texts = package.licences if package is not None else (own,) if own.is_file() else ()
    return Part(name="Python", version=version, licence="PSF-2.0", texts=texts, package=package)


def of_system_libraries(sources: Mapping[str, Path], known: Iterable[Path]) -> list[Part]:
    """Libraries that belong to packages of the build machine; `known` are folders that others answer for.

    Raises:
        LicenceError: a library belongs to nobody.
    """
    folders = [str(folder) for folder in known]
    parts: dict[str, Part] = {}
    for name, source in sources.items():
        if any(str(source).startswith(folder + "/") for folder in folders) or name.startswith("libpython"):
            continue
        package = owner(source)
        if package is None:
            raise LicenceError(f"{source} is in the bundle, and no package of this machine owns it")
        parts[package.name] = Part(
            name=package.name,
            version=package.version,
            licence=package.licence,
            texts=package.licences,
            package=package,
        )
    return [parts[name] for name in sorted(parts)]


def inside(frozen: Frozen, builder: Environment, runtime: Environment, work: Path) -> list[Part]:
    """All that is in the bundle.

    Raises:
        LicenceError: a part has no licence.
    """
    standard_library = Path(sysconfig.get_path("stdlib"))
    libpython = next((path for name, path in frozen.sources.items() if name.startswith("libpython")), None)
    known = (runtime.folder, builder.folder, work, standard_library)
    tools = [part for part in of_packages(builder.site_packages) if part.name.lower() == "pyinstaller"]
    parts = [
        of_python(libpython, sysconfig.get_config_var("py_version") or "", standard_library),
        *of_system_libraries(frozen.sources, known),
        *tools,
        *of_packages(runtime.site_packages),
    ]
    if without := [part.name for part in parts if not part.texts and not (part.package and part.package.licence)]:
        raise LicenceError(f"no licence is known of {', '.join(without)}")
    return parts


def write(parts: Iterable[Part], folder: Path) -> None:
    """Writes the texts, a folder each, and the list."""
    lines = ["What is inside this bundle, and its licences. The texts are in the folder of each.", ""]
    for part in parts:
        target = folder / f"{part.name}-{part.version}".replace("/", "_").replace(":", "_")
        target.mkdir(parents=True)
        for text in part.texts:
            shutil.copyfile(text, target / text.name)
        lines.append(f"{part.name} {part.version}" + (f": {part.licence}" if part.licence else ""))
    (folder / "README.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
