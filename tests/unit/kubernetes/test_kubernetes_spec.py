"""The spec: what it takes, what it refuses, and that its schema refuses nothing less than the proxy does."""

import jsonschema
import pytest

from dimse_proxy.config.settings import review_settings
from dimse_proxy.kubernetes.environment import configuration, review
from dimse_proxy.kubernetes.mounts import mounts_of, routes_text
from dimse_proxy.kubernetes.resource import custom_resource_definition, spec_schema
from dimse_proxy.kubernetes.spec import SpecError, read_spec
from tests.unit.kubernetes.specs import EXAMPLE, FULL, SMALL

VALIDATOR = jsonschema.Draft202012Validator(spec_schema())


def problems(spec: dict[str, object]) -> tuple[str, ...]:
    read = read_spec(spec)
    return review(read, mounts_of("x", read)).problems


@pytest.mark.parametrize("spec", [SMALL, EXAMPLE, FULL])
def test_what_is_right(spec: dict[str, object]) -> None:
    VALIDATOR.validate(spec)
    assert problems(spec) == ()


def test_what_is_empty_or_null_is_not_set() -> None:
    spec = SMALL | {"natsTokenSecret": "", "targetDimseHost": "", "localApplicationEntityTitle": None, "proxy": None}
    assert read_spec(spec) == read_spec(SMALL)


def test_a_field_of_a_later_version_is_no_error() -> None:
    assert read_spec(SMALL | {"later": 1}) == read_spec(SMALL)


def test_the_sentences_of_an_older_definition() -> None:
    with pytest.raises(SpecError) as raised:
        read_spec({"targetDimsePort": 0, "natsTls": {"caSecretName": "A B"}})
    assert raised.value.problems == (
        "spec.targetDimsePort is missing or not as `kubectl explain dimseproxy.spec.targetDimsePort` says.",
        "spec.natsUrl is missing or not as `kubectl explain dimseproxy.spec.natsUrl` says.",
        "spec.natsTls.caSecretName is missing or not as `kubectl explain dimseproxy.spec.natsTls.caSecretName` says.",
    )


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"natsUrl": "http://nats.example.org"},
            "spec.natsUrl becomes DIMSE_NATS_URL=http://nats.example.org: scheme 'http' is unknown: nats, tls, ws and "
            "wss are right.",
        ),
        (
            {"targetDimseHost": "10.0.0.1:104"},
            "spec.targetDimseHost becomes DIMSE_TARGET_HOST=10.0.0.1:104: '10.0.0.1:104' is neither a host name nor an "
            "address; it stands alone, without port.",
        ),
        (
            {"extraEnv": [{"name": "DIMSE_PORT", "value": "104"}]},
            "spec.extraEnv cannot have DIMSE_PORT: dimsePort is the port of the Service.",
        ),
        (
            {"natsTokenSecret": "x", "extraEnv": [{"name": "DIMSE_NATS_AUTH_TOKEN", "value": "y"}]},
            "spec.extraEnv cannot have DIMSE_NATS_AUTH_TOKEN: another field names the Secret for it.",
        ),
        (
            {
                "natsTokenSecret": "x",
                "extraEnv": [
                    {"name": "DIMSE_NATS_USER", "value": "y"},
                    {"name": "DIMSE_NATS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
            },
            "DIMSE_NATS_AUTH_TOKEN and DIMSE_NATS_USER are given together: one credential for NATS is right.",
        ),
        (
            {"tls": {"secretName": "x", "port": 11112}},
            "spec.tls.port=11112 is dimsePort too: leave it out to have TLS there, or choose another.",
        ),
        (
            {"extraEnv": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
            "spec.extraEnv has A with value and valueFrom: one of them is right.",
        ),
    ],
)
def test_what_the_proxy_would_not_start_with(more: dict[str, object], sentence: str) -> None:
    assert problems(SMALL | more) == (sentence,)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"natsSubjectChannel": "HUB"},
            "spec.natsSubjectChannel becomes DIMSE_NATS_SUBJECT_CHANNEL=HUB has no other side: DIMSE_NATS_PEER_CHANNEL "
            "names it, or a routes file names one or several.",
        ),
        ({"natsSubjectChannel": "HUB", "natsPeerChannel": "S1"}, None),
        ({"routes": {"text": '[[local]]\ncalled = "X"\n'}}, None),
        (
            {"routes": {"text": "[[local]\n"}},
            "routes.toml:1: [[local]: this is no TOML: expected ']]' at the end of an array",
        ),
        ({"routes": {"text": '[[local]]\nchannel = "B"\n'}}, "routes.toml:1: [[local]] without called"),
        ({"routes": {"text": 'channels = ["A"]\n'}}, "routes.toml:1: A is this side's own channel"),
    ],
)
def test_channels_and_routes(more: dict[str, object], sentence: str | None) -> None:
    read = read_spec(SMALL | more)
    mounts = mounts_of("x", read)
    found = review(read, mounts, routes_text(mounts, read, {})).problems
    assert [problem for problem in found if sentence is None or not problem.startswith(sentence)] == []
    assert bool(found) is (sentence is not None)


def test_the_routes_file_is_the_one_that_the_proxy_would_read() -> None:
    own = ("ConfigMap", "own")
    for spec, found, text in (
        ({"routes": {"text": "a"}}, {}, "a"),
        ({"routes": {"configMap": "own"}}, {own: {"routes.toml": "b"}}, "b"),
        ({"routes": {"configMap": "own"}}, {}, None),
        ({"dimseConfig": "own"}, {own: {"routes.toml": "c", "IMAGE_CUIDS": "*"}}, "c"),
        ({"dimseConfig": "own"}, {own: {"IMAGE_CUIDS": "*"}}, None),
        ({}, {}, None),
    ):
        read = read_spec(SMALL | spec)
        assert routes_text(mounts_of("x", read), read, found) == text  # type: ignore[arg-type]


def test_a_secret_never_stands_in_a_sentence() -> None:
    spec = SMALL | {"extraEnv": [{"name": "DIMSE_TUNNEL_KEY", "value": "hunter2"}]}
    assert "hunter2" not in " ".join(problems(spec))


def test_an_unknown_variable_is_a_warning() -> None:
    read = read_spec(SMALL | {"extraEnv": [{"name": "DIMSE_ACTOR", "value": "x"}, {"name": "TZ", "value": "UTC"}]})
    (warning,) = review(read, mounts_of("x", read)).warnings
    assert warning.startswith("DIMSE_ACTOR is unknown")


def test_the_defaults_are_those_of_the_proxy() -> None:
    """What the definition fills in means the same as leaving it out."""
    made = configuration(read_spec(SMALL))
    with_all = review_settings(made, None).settings
    with_servers_only = review_settings({"DIMSE_NATS_URL": "nats.example.org"}, None).settings
    assert with_all == with_servers_only


def test_every_part_of_the_schema_has_a_type_and_a_description() -> None:
    """A structural schema needs the one, people who run `kubectl explain` the other."""

    def walk(part: dict[str, object], path: str) -> None:
        assert "type" in part or part.get("x-kubernetes-int-or-string"), path
        assert "$ref" not in part, path
        properties = part.get("properties", {})
        assert isinstance(properties, dict)
        for name, inner in properties.items():
            assert inner.get("description"), f"{path}.{name}"
            walk(inner, f"{path}.{name}")
        for key in ("items", "additionalProperties"):
            if isinstance(inner := part.get(key), dict):
                walk(inner, f"{path}[]")

    walk(spec_schema(), "spec")


def test_the_names_of_the_contract() -> None:
    spec = custom_resource_definition()["spec"]
    (version,) = spec["versions"]
    assert (spec["group"], version["name"], spec["names"]["kind"], spec["names"]["plural"], spec["scope"]) == (
        "imaging-ingestion.alvearie.org",
        "v1alpha1",
        "DimseProxy",
        "dimseproxies",
        "Namespaced",
    )
    assert version["subresources"] == {"status": {}}
    shown = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert shown == ["Age", "Ready"]
