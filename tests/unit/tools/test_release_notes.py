"""The notes of a release are its part of the changelog, and a tag without one is refused."""

import pytest
from tools.release_notes import NotesError, check_tag, notes, parts, version_of_source

CHANGELOG = """\
# Changelog

What changed.

## [1.1.0] - unreleased

### Added

- Something new.

## [1.0.1] - 2026-02-03

## [1.0.0] - 2026-01-02

### Fixed

- `## [9.9.9]` inside of a line is no heading.
- Last.

[1.0.0]: https://example.org/1.0.0
"""


def test_parts_are_in_order_with_their_days() -> None:
    assert [(part.version, part.date) for part in parts(CHANGELOG)] == [
        ("1.1.0", "unreleased"),
        ("1.0.1", "2026-02-03"),
        ("1.0.0", "2026-01-02"),
    ]


def test_a_part_ends_where_the_next_begins_and_holds_no_link_definitions() -> None:
    assert notes(CHANGELOG, "1.1.0").text == "### Added\n\n- Something new."
    assert notes(CHANGELOG, "1.0.0").text.endswith("- Last.")


@pytest.mark.parametrize(("version", "why"), [("1.0.1", "says nothing"), ("2.0.0", "has no part"), ("1.0", "has no")])
def test_a_version_without_notes_is_refused(version: str, why: str) -> None:
    with pytest.raises(NotesError, match=why):
        notes(CHANGELOG, version)


def test_a_tag_must_be_the_version_and_have_a_day() -> None:
    check_tag("v1.0.0", "1.0.0", CHANGELOG)
    with pytest.raises(NotesError, match=r"v1\.0\.0 is right"):
        check_tag("1.0.0", "1.0.0", CHANGELOG)
    with pytest.raises(NotesError, match="'unreleased': the day"):
        check_tag("v1.1.0", "1.1.0", CHANGELOG)


def test_this_version_has_notes() -> None:
    from tools.release_notes import ROOT

    from dimse_proxy import __version__

    assert version_of_source() == __version__
    assert notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), __version__).text
