"""A hot path that needs a tenth more instructions than what was committed fails here, however busy the machine is."""

import pytest
from bench import guard


def test_the_hot_path_has_not_become_slower() -> None:
    """After a change that is worth its price: `python -m bench.guard --record`."""
    compared = guard.compare()
    if compared is None:
        pytest.skip(f"no baseline for Python {guard.VERSION} in {guard.BASELINE.name}")
    slower = [str(one) for one in compared if one.is_slower]
    assert not slower, f"more than {guard.ALLOWED:.0%} above the baseline: {slower}"
