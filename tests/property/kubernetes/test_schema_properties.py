"""What the schema of the custom resource takes, the proxy takes."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.config.settings import review_settings
from dimse_proxy.kubernetes.resource import spec_schema

PROPERTIES = spec_schema()["properties"]


@pytest.mark.parametrize("field", ["applicationEntityTitle", "localApplicationEntityTitle"])
@settings(deadline=None)
@given(text=st.text(st.characters(codec="latin-1"), max_size=20) | st.text("AB\\, *", max_size=18))
def test_titles_that_the_schema_takes_the_proxy_takes(field: str, text: str) -> None:
    """Python's `$` would let a line end pass, which neither the API server nor pydantic does."""
    pattern = PROPERTIES[field]["pattern"]
    is_taken = re.fullmatch(pattern, text) is not None
    variable = {"applicationEntityTitle": "DIMSE_TARGET_AE", "localApplicationEntityTitle": "DIMSE_AE"}[field]
    wrong = review_settings({"DIMSE_NATS_URL": "x", variable: text}, None).wrong
    assert not (is_taken and variable in wrong)
    if field == "applicationEntityTitle":
        assert is_taken == (variable not in wrong and bool(text.strip(" ")) and bool(text.strip()))


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=12) | st.text("AB.*> ", max_size=8))
def test_roots_that_the_schema_takes_the_proxy_takes(text: str) -> None:
    pattern = PROPERTIES["natsSubjectRoot"]["pattern"]
    wrong = review_settings({"DIMSE_NATS_URL": "x", "DIMSE_NATS_SUBJECT_ROOT": text}, None).wrong
    assert (re.fullmatch(pattern, text) is not None) == (not wrong and bool(text.strip()))
