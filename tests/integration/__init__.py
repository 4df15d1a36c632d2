"""Tests against real peers."""

import pytest

# Their assertions explain themselves as those of the tests do.
pytest.register_assert_rewrite("tests.integration.peers", "tests.integration.wire")
