"""The notes of a release: its part of CHANGELOG.md. `python -m tools.release_notes` prints those of this version.

`--check-tag v1.2.3` fails unless the tag is the package's version and the changelog has a dated part for it.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
HEADING: Final = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\S+))?\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the changelog says of one version."""

    version: str
    date: str
    """As written: a day, or `unreleased`."""
    text: str


class NotesError(Exception):
    """The changelog has not what a release needs."""


def parts(changelog: str) -> list[Part]:
    """All versions, in the order of the file."""
    headings = list(HEADING.finditer(changelog))
    ends = [heading.start() for heading in headings[1:]] + [len(changelog)]
    return [
        Part(
            version=heading["version"],
            date=heading["date"] or "unreleased",
            text=_without_links(changelog[heading.end() : end]).strip(),
        )
        for heading, end in zip(headings, ends, strict=True)
    ]


def _without_links(text: str) -> str:
    """Without the definitions of links at the end of the file."""
    return re.sub(r"^\[[^\]]+\]: \S+\s*$", "", text, flags=re.MULTILINE)


def notes(changelog: str, version: str) -> Part:
    """The part of one version.

    Raises:
        NotesError: there is none, or it says nothing.
    """
    found = [part for part in parts(changelog) if part.version == version]
    if not found:
        raise NotesError(f"CHANGELOG.md has no part '## [{version}]'")
    if not found[0].text:
        raise NotesError(f"CHANGELOG.md says nothing of {version}")
    return found[0]


def check_tag(tag: str, version: str, changelog: str) -> None:
    """Whether a release may be made of this tag.

    Raises:
        NotesError: why not.
    """
    if tag != f"v{version}":
        raise NotesError(f"the tag is {tag}, and the version of the package {version}: v{version} is right")
    part = notes(changelog, version)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", part.date):
        raise NotesError(f"CHANGELOG.md has {version} as '{part.date}': the day of the release is right")


def version_of_source() -> str:
    """As the package says."""
    text = (ROOT / "src" / "dimse_proxy" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    return found[1]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.release_notes", description=__doc__)
    parser.add_argument("--check-tag", metavar="TAG", help="say whether a release may be made of this tag")
    arguments = parser.parse_args()
    changelog, version = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version_of_source()
    try:
        if arguments.check_tag is not None:
            check_tag(arguments.check_tag, version, changelog)
        else:
            print(notes(changelog, version).text)
    except NotesError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
