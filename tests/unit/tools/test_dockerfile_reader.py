"""Reading Dockerfiles: what the project's own one uses, and a refusal of everything else."""

from pathlib import Path

import pytest
from tools.image.dockerfile import DockerfileError, assignments, command, instructions, stages, substituted

TEXT = """\
# A comment.
ARG DEBIAN=trixie-slim

FROM debian:${DEBIAN} AS build
RUN one \\
    # a comment in between
    && two
FROM debian:$DEBIAN
COPY --from=build /a /b
CMD ["run", "it"]
"""


def test_continuation_lines_are_one_instruction_and_comments_none() -> None:
    assert [(found.name, found.text) for found in instructions(TEXT)] == [
        ("ARG", "DEBIAN=trixie-slim"),
        ("FROM", "debian:${DEBIAN} AS build"),
        ("RUN", "one && two"),
        ("FROM", "debian:$DEBIAN"),
        ("COPY", "--from=build /a /b"),
        ("CMD", '["run", "it"]'),
    ]


def test_stages_know_their_base_and_name() -> None:
    first, second = stages(TEXT)
    assert (first.base, first.name) == ("debian:trixie-slim", "build")
    assert (second.base, second.name) == ("debian:trixie-slim", "")
    assert [found.name for found in second.instructions] == ["COPY", "CMD"]


def test_variables_are_put_in() -> None:
    assert substituted("$A-${B}-$C", {"A": "1", "B": "2"}) == "1-2-"
    assert assignments('A="x y" B=$A', {"A": "1"}) == {"A": "x y", "B": "1"}
    assert assignments("A", {}) == {"A": ""}


@pytest.mark.parametrize("text", ["dimse-proxy run", '{"a": 1}', "[1, 2]"])
def test_a_command_that_signals_do_not_reach_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match="exec form"):
        command(text)


def test_an_unknown_instruction_is_refused() -> None:
    with pytest.raises(DockerfileError, match="ONBUILD"):
        instructions("ONBUILD RUN x")


def test_the_projects_own() -> None:
    build, image = stages((Path(__file__).resolve().parents[3] / "Dockerfile").read_text(encoding="utf-8"))
    assert build.name == "build"
    by_name = {found.name: found.text for found in image.instructions}
    assert command(by_name["ENTRYPOINT"]) == ["dimse-proxy"]
    assert command(by_name["CMD"]) == ["run"]
    assert "--no-deps --require-hashes" in " ".join(found.text for found in build.instructions)
