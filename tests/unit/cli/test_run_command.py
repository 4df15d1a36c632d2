"""What `dimse-proxy run` refuses before anything is started."""

from pathlib import Path

import pytest

from dimse_proxy.cli.run import run
from dimse_proxy.errors import ConfigError


def test_two_servers_of_its_own_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run(environ={"DIMSE_LEAF_STORE": str(tmp_path), "DIMSE_AE": "*"}, embedded_nats="4222")
    assert caught.value.problems == (
        "--embedded-nats and DIMSE_LEAF_STORE each start a nats-server: one of them is right.",
    )
    assert not list(tmp_path.iterdir())
