"""Every env file of the examples is right as it is, and its folder is in the list."""

from pathlib import Path
from typing import Final

import pytest

from dimse_proxy.config.settings import review_settings

EXAMPLES: Final = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.env")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_problem_and_no_warning(path: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("of this run")
    names = [name for name in ("DIMSE_NATS_PASSWORD_FILE",) if f"\n{name}=" in path.read_text()]
    reviewed = review_settings(dict.fromkeys(names, str(secret)), path, {})
    assert list(reviewed.problems) == []
    assert reviewed.variables.warnings == []


def test_every_folder_is_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    folders = [path.parent for path in EXAMPLES.glob("*/README.md")]
    assert len(folders) > 3
    for folder in folders:
        assert f"]({folder.name}/README.md)" in listed
