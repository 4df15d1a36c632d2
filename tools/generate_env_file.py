"""Writes `deploy/bundle/dicom-dimse-proxy.env`, every variable with its documentation, from `docs/configuration.md`.

That page is checked against `Settings` by a test, and the file against this tool: neither can go stale.
`python tools/generate_env_file.py` writes it anew.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "configuration.md"
ENV_FILE: Final = ROOT / "deploy" / "bundle" / "dicom-dimse-proxy.env"

SET: Final = frozenset(
    {
        "DIMSE_AE",
        "DIMSE_CONFIG_PATH",
        "DIMSE_NATS_AUTH_TOKEN",
        "DIMSE_NATS_SUBJECT_CHANNEL",
        "DIMSE_NATS_SUBJECT_ROOT",
        "DIMSE_NATS_TLS_ENABLED",
        "DIMSE_NATS_URL",
        "DIMSE_PORT",
        "DIMSE_TARGET_AE",
        "DIMSE_TARGET_HOST",
        "DIMSE_TARGET_PORT",
    }
)
"""What hardly anybody leaves as it is: these lines are no comments. An empty value is the default."""

WIDTH: Final = 118
HEAD: Final = """\
# DIMSE Proxy: every setting. A line that begins with # shows the default.
#
# Needed: DIMSE_NATS_URL, and DIMSE_NATS_SUBJECT_CHANNEL, A on one side and B on the other. Where associations from the
# other side shall arrive: DIMSE_TARGET_HOST, DIMSE_TARGET_PORT, DIMSE_TARGET_AE.
#
# ./dicom-dimse-proxy.sh config    what is in effect, and everything that is wrong with it
# ./dicom-dimse-proxy.sh doctor    the first thing that is wrong on the whole way, and how to mend it
#
# A value with $, # or spaces goes into single quotes. Nothing is expanded. Secrets may come from a file: the same name
# with _FILE appended, and the path. This file holds no secret then; else let nobody but the proxy's user read it.
#
# Written by tools/generate_env_file.py from docs/configuration.md, which says more.
"""

ROW: Final = re.compile(r"\| `(DIMSE_\w+)` \| (.+) \| (?:`(.*)`)? ?\| (?:`(.*)`)? ?\|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A row of the page."""

    name: str
    meaning: str
    default: str
    example: str


def sections(page: str) -> Iterator[tuple[str, list[Variable]]]:
    """The headings of the page that have variables below them."""
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        rows = [ROW.fullmatch(line) for line in part.splitlines()]
        variables = [
            Variable(name=row[1], meaning=row[2], default=row[3] or "", example=row[4] or "")
            for row in rows
            if row is not None
        ]
        if variables:
            yield part.splitlines()[0].strip(), variables


def plain(text: str) -> str:
    """Markdown without its signs: the text of links, and no backquotes."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "")


def block(variable: Variable) -> str:
    """The comment and the line of one variable."""
    text, example = plain(variable.meaning), variable.example
    lines = textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    if example.startswith(f"{variable.name}_FILE="):
        lines.append(f"# Or: {example}")
    elif example and example != variable.default:
        lines.append(f"# Example: {example}")
    sign = "" if variable.name in SET else "#"
    return "\n".join([*lines, f"{sign}{variable.name}={variable.default}"])


def env_file(page: str) -> str:
    """The whole file."""
    parts = [HEAD]
    for heading, variables in sections(page):
        parts.append(f"\n# ---- {heading} ".ljust(WIDTH + 1, "-") + "\n")
        parts += ["\n" + block(variable) + "\n" for variable in variables]
    return "".join(parts)


def main() -> None:
    """Write the file."""
    ENV_FILE.write_text(env_file(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
