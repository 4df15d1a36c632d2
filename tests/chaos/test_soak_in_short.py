"""The soak of `make soak`, for 15 seconds."""

from pathlib import Path

import pytest

from tests.chaos.soak import GROWTH, soak


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_soak_in_short(tmp_path: Path) -> None:
    soak(tmp_path, warm_up=5, seconds=15, growth=2 * GROWTH, retained=80 << 20)  # the proxies do not look so soon
