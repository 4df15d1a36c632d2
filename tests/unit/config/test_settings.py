"""What each variable may be, what it becomes, and the sentence when it is wrong."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from dimse_proxy.config.settings import FIELD_OF, SECRETS, Settings, load_settings, review_settings
from dimse_proxy.errors import ConfigError

NATS = {"DIMSE_NATS_URL": "nats.example.org"}


def load(**variables: str) -> Settings:
    """Settings from these variables of the environment, NATS server included."""
    return load_settings(NATS | {f"DIMSE_{name}": text for name, text in variables.items()}, None).settings


def problems(environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_settings(environ, None)
    return list(raised.value.problems)


def only_problem(**variables: str) -> str:
    [sentence] = problems(NATS | {f"DIMSE_{name}": text for name, text in variables.items()})
    return sentence


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load()
    assert settings.config_path == Path("./dimse-config")
    assert settings.local_ae_titles == ("INGESTION",)
    assert settings.own_ae_title == "INGESTION"
    assert settings.calling_ae == "own"
    assert settings.move_aliases == {}
    assert (settings.host, settings.port, settings.bind_host) == ("0.0.0.0", 11112, None)
    assert (settings.target_ae, settings.target_host, settings.target_port) == ("DCM4CHEE", None, 11112)
    assert settings.nats_servers == ("nats://nats.example.org:4222",)
    assert settings.nats_tls_enabled is False
    assert (settings.nats_subject_root, settings.nats_subject_channel, settings.peer_channel) == ("DIMSE", "A", "B")
    assert settings.nats_auth_token is None
    assert settings.nats_trace_connection is False
    assert (settings.nats_reply_timeout, settings.nats_chunk_size) == (60, 262144)
    assert settings.allowed_calling_aes == ("*",)
    assert settings.max_associations == 1024
    assert (settings.artim_timeout, settings.connect_timeout, settings.accept_timeout) == (30, 10, 25)
    assert (settings.release_timeout, settings.idle_timeout, settings.grace_timeout) == (0, 0, 30)
    assert (settings.resume_timeout, settings.window_size) == (60, 4194304)
    assert (settings.tls_enabled, settings.tls_protocol_versions, settings.tls_keystore_type) == (
        False,
        ("TLSv1.2", "TLSv1.3"),
        "PKCS12",
    )
    assert (settings.log_level, settings.log_format) == ("INFO", "auto")


@pytest.mark.parametrize("address", ["10.1.2.3", "::1"])
def test_every_host_is_allowed_by_default(address: str) -> None:
    assert any(ip_address(address) in network for network in load().allowed_hosts)


def test_settings_cannot_be_changed() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.port = 1
    with pytest.raises(TypeError):
        settings.move_aliases["A"] = "B"  # type: ignore[index]


def test_an_existing_env_starts_unchanged() -> None:
    settings = load(
        AE="DICOM-INGEST",
        PORT="104",
        NATS_URL="nats.example.org:443",
        NATS_TLS_ENABLED="true",
        NATS_SUBJECT_CHANNEL="B",
        NATS_AUTH_TOKEN="example",
        TARGET_HOST="dcm4che.dcm4che.svc.cluster.local",
        TARGET_PORT="31285",
        TLS_ENABLED="false",
        TLS_KEYSTORE="",
        TLS_CIPHER_SUITES="TLS_RSA_WITH_AES_128_CBC_SHA,SSL_RSA_WITH_3DES_EDE_CBC_SHA",
    )
    assert settings.nats_servers == ("tls://nats.example.org:443",)
    assert settings.nats_auth_token == SecretStr("example")
    assert settings.tls_cipher_suites == ("TLS_RSA_WITH_AES_128_CBC_SHA", "SSL_RSA_WITH_3DES_EDE_CBC_SHA")
    assert settings.peer_channel == "A"


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("PACS", ("PACS",)),
        (" PACS , wor ks,PACS,", ("PACS", "wor ks")),
        ("*", ("*",)),
        ("*,PACS", ("*", "PACS")),
        ("A" * 16, ("A" * 16,)),
    ],
)
def test_ae_titles(text: str, titles: tuple[str, ...]) -> None:
    assert load(AE=text).local_ae_titles == titles


@pytest.mark.parametrize(
    ("text", "own"), [("*", None), ("*,PACS", "PACS"), ("ONE,TWO", "ONE")], ids=["any", "any and one", "two"]
)
def test_the_own_title_is_the_first_named(text: str, own: str | None) -> None:
    assert load(AE=text).own_ae_title == own


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A" * 17, "has 17 characters"),
        ("A\\B", "backslash"),
        ("A\tB", "control character"),
        ("ÄÖ", "outside ASCII"),
        (",", "one or more AE titles"),
    ],
)
def test_wrong_ae_titles(text: str, reason: str) -> None:
    sentence = only_problem(AE=text)
    assert sentence.startswith("DIMSE_AE=")
    assert "(environment)" in sentence
    assert reason in sentence


def test_every_wrong_title_of_a_list_is_named() -> None:
    assert len(problems(NATS | {"DIMSE_AE": "OK," + "B" * 17 + "," + "C" * 18})) == 2


@pytest.mark.parametrize("variable", ["PORT", "TARGET_PORT"])
@pytest.mark.parametrize("text", ["0", "70000", "-1", "dicom", "1.5"])
def test_wrong_ports(variable: str, text: str) -> None:
    assert (
        only_problem(**{variable: text})
        == f"DIMSE_{variable}={text} (environment): a port is a number from 1 to 65535."
    )


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes"])
def test_true(text: str) -> None:
    assert load(NATS_TRACECONNECTION=text).nats_trace_connection is True


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "", "  "])
def test_false(text: str) -> None:
    assert load(NATS_TRACECONNECTION=text).nats_trace_connection is False


def test_a_flag_is_true_or_false() -> None:
    assert "true or false" in only_problem(NATS_TLS_ENABLED="maybe")


def test_move_aliases() -> None:
    assert load(MOVE_ALIASES=" WS1 = WS1_X, WS2=WS2_X,").move_aliases == {"WS1": "WS1_X", "WS2": "WS2_X"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("WS1", "asker=alias"),
        ("WS1=X,WS2=X", "alias 'X' is given to two askers"),
        ("WS1=X,WS1=Y", "asker 'WS1' stands in two pairs"),
        ("=X", "at least one character"),
        ("WS1=" + "X" * 17, "has 17 characters"),
    ],
)
def test_wrong_move_aliases(text: str, reason: str) -> None:
    assert reason in only_problem(MOVE_ALIASES=text)


@pytest.mark.parametrize(
    ("text", "tls", "servers"),
    [
        ("one", "false", ("nats://one:4222",)),
        ("one:5222, two", "false", ("nats://one:5222", "nats://two:4222")),
        ("one,tls://two", "true", ("tls://one:4222", "tls://two:4222")),
        ("nats://one:443", "true", ("tls://one:443",)),
        ("tls://one", "false", ("tls://one:4222",)),
        ("ws://one:8080/nats", "false", ("ws://one:8080/nats",)),
        ("ws://one", "true", ("wss://one",)),
        ("[::1]:4333,[fd00::2]", "false", ("nats://[::1]:4333", "nats://[fd00::2]:4222")),
        ("nats://one:4222/", "false", ("nats://one:4222",)),
    ],
)
def test_nats_servers(text: str, tls: str, servers: tuple[str, ...]) -> None:
    assert load(NATS_URL=text, NATS_TLS_ENABLED=tls).nats_servers == servers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://one", "scheme 'http'"),
        ("one:0", "port from 1 to 65535"),
        ("one:99999", "port from 1 to 65535"),
        ("one two", "host name"),
        ("nats://", "host name"),
        ("one:4222/path", "more than scheme, host and port"),
        ("one,ws://two", "do not go together"),
    ],
)
def test_wrong_nats_servers(text: str, reason: str) -> None:
    assert reason in only_problem(NATS_URL=text)


@pytest.mark.parametrize("text", ["nats://user:hunter2@one", "hunter2@one:4222", "tls://a:hun/hunter2@one"])
def test_a_credential_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    sentence = only_problem(NATS_URL=text)
    assert "DIMSE_NATS_AUTH_TOKEN" in sentence
    assert "hunter2" not in sentence
    assert "a:hun" not in sentence


@pytest.mark.parametrize("environ", [{}, {"DIMSE_NATS_URL": ""}, {"DIMSE_NATS_URL": " "}])
def test_a_nats_server_is_needed(environ: Mapping[str, str]) -> None:
    [sentence] = problems(environ)
    assert sentence.startswith("DIMSE_NATS_URL is not set")


def test_the_command_line_can_give_the_nats_server() -> None:
    loaded = load_settings({}, None, {"DIMSE_NATS_URL": "127.0.0.1:4333"})
    assert loaded.settings.nats_servers == ("nats://127.0.0.1:4333",)
    assert str(loaded.origins["DIMSE_NATS_URL"]) == "command line"


@pytest.mark.parametrize("root", ["DIMSE", "site.7.dimse", "a-b_c"])
def test_subject_roots(root: str) -> None:
    assert load(NATS_SUBJECT_ROOT=root).nats_subject_root == root


@pytest.mark.parametrize("root", ["a b", "a.*", "a.>", ".a", "a.", "a..b", "a*", "ä"])
def test_wrong_subject_roots(root: str) -> None:
    assert "words separated by single dots" in only_problem(NATS_SUBJECT_ROOT=root)


@pytest.mark.parametrize("channel", ["A.B", "*", ">", "a b", "Ä", "x" * 65])
@pytest.mark.parametrize("variable", ["NATS_SUBJECT_CHANNEL", "NATS_PEER_CHANNEL"])
def test_what_is_no_channel(variable: str, channel: str) -> None:
    assert (
        only_problem(**{variable: channel})
        == f"DIMSE_{variable}={channel} (environment): a channel is a word of letters, digits, - and _, such as A or B."
    )


@pytest.mark.parametrize(
    ("own", "peer", "other_side"),
    [("A", "", "B"), ("B", "", "A"), ("HUB", "", None), ("HUB", "site-1", "site-1"), ("A", "S2", "S2")],
)
def test_the_channel_of_the_other_side(own: str, peer: str, other_side: str | None) -> None:
    assert load(NATS_SUBJECT_CHANNEL=own, NATS_PEER_CHANNEL=peer).peer_channel == other_side


def test_the_own_channel_is_not_the_other_side() -> None:
    assert "DIMSE_NATS_PEER_CHANNEL=S1" in only_problem(NATS_SUBJECT_CHANNEL="S1", NATS_PEER_CHANNEL="S1")


def test_allowed_hosts_are_networks() -> None:
    assert load(ALLOWED_HOSTS="10.1.2.3, 10.2.3.4/16,fd00::/8").allowed_hosts == (
        ip_network("10.1.2.3/32"),
        ip_network("10.2.0.0/16"),
        ip_network("fd00::/8"),
    )
    assert load(ALLOWED_HOSTS="*").allowed_hosts == load().allowed_hosts


def test_a_wrong_network_is_named() -> None:
    assert "'pacs' is neither an address nor a network" in only_problem(ALLOWED_HOSTS="10.0.0.0/8,pacs")


@pytest.mark.parametrize(
    "host", ["pacs", "pacs.example.org", "my_pacs", "10.1.2.3", "10.1", "4.pacs.x.y", "fd00::1", "[fd00::1]"]
)
def test_hosts(host: str) -> None:
    assert load(TARGET_HOST=host).target_host == host.strip("[]")


@pytest.mark.parametrize("host", ["pacs:104", "http://pacs", "pa cs", "-pacs", "pacs/1", "10.1.2.256", "10.1.2.3.4"])
def test_wrong_hosts(host: str) -> None:
    assert "neither a host name nor an address" in only_problem(TARGET_HOST=host)


def test_a_target_without_ae() -> None:
    sentence = only_problem(TARGET_HOST="pacs", TARGET_AE="")
    assert "target without AE" in sentence


def test_an_empty_target_ae_without_a_target_is_the_default() -> None:
    assert load(TARGET_AE="").target_ae == "DCM4CHEE"


def test_there_must_be_a_title_to_call_the_target_with() -> None:
    assert "names no AE title to call the target with" in only_problem(AE="*", TARGET_HOST="pacs")


@pytest.mark.parametrize("calling_ae", ["original", "alias", "GATEWAY", "OWNER", "ALIAS_1", "OWN 1"])
def test_any_title_is_enough_when_the_calling_one_is_another(calling_ae: str) -> None:
    assert load(AE="*", TARGET_HOST="pacs", CALLING_AE=calling_ae).calling_ae == calling_ae


@pytest.mark.parametrize("calling_ae", ["Original", "ORIGINAL", "orginal", "OWN", "alais"])
def test_a_word_that_is_mistyped_is_not_taken_for_a_title(calling_ae: str) -> None:
    assert "is taken for a mistyped" in only_problem(CALLING_AE=calling_ae)


def test_any_title_is_enough_without_a_target() -> None:
    assert load(AE="*").own_ae_title is None


@pytest.mark.parametrize(
    ("variables", "listener", "target"),
    [
        ({}, False, False),
        ({"TLS_ENABLED": "true"}, True, True),
        ({"TLS_ENABLED": "true", "TARGET_TLS_ENABLED": "false"}, True, False),
        ({"TARGET_TLS_ENABLED": "true"}, False, True),
        ({"TLS_PORT": "2762"}, True, False),
        ({"TLS_PORT": "2762", "TLS_ENABLED": "true"}, True, True),
        ({"TLS_PORT": "2762", "TARGET_TLS_ENABLED": "true"}, True, True),
    ],
)
def test_where_there_is_tls(variables: dict[str, str], listener: bool, target: bool) -> None:
    settings = load(TLS_KEYSTORE="key.p12", TARGET_HOST="pacs", **variables)
    assert (settings.has_tls_listener, settings.has_tls_target) == (listener, target)
    assert not load(TLS_KEYSTORE="key.p12", **variables).has_tls_target


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TLS_ENABLED": "true"}, "DIMSE_TLS_ENABLED=true (environment) needs the own key and certificate"),
        ({"TLS_PORT": "2762"}, "DIMSE_TLS_PORT=2762 (environment) needs the own key and certificate"),
        ({"TLS_PORT": "11112", "TLS_KEYSTORE": "k"}, "it must differ from DIMSE_PORT"),
        ({"TLS_CLIENT_AUTH": "required"}, "DIMSE_TLS_TRUSTSTORE is not set"),
        (
            {"TARGET_HOST": "pacs", "TARGET_TLS_ENABLED": "true", "TLS_VERIFY_HOSTNAME": "false"},
            "would take any certificate of a public authority",
        ),
        ({"NATS_USER": "me"}, "DIMSE_NATS_USER is given without DIMSE_NATS_PASSWORD"),
        ({"NATS_PASSWORD": "x"}, "DIMSE_NATS_PASSWORD is given without DIMSE_NATS_USER"),
        ({"NATS_TLS_KEY_FILE": "k"}, "DIMSE_NATS_TLS_KEY_FILE is given without DIMSE_NATS_TLS_CERT_FILE"),
        ({"NATS_TLS_CA_FILE": "ca.pem"}, "is for TLS, which is not asked for"),
        (
            {"NATS_AUTH_TOKEN": "x", "NATS_CREDS_FILE": "c", "NATS_NKEY_FILE": "n"},
            "DIMSE_NATS_AUTH_TOKEN and DIMSE_NATS_CREDS_FILE and DIMSE_NATS_NKEY_FILE are given together",
        ),
    ],
)
def test_what_does_not_go_together(variables: dict[str, str], sentence: str) -> None:
    assert sentence in only_problem(**variables)


def test_client_authentication_and_host_names_by_default() -> None:
    without, with_trust = load(), load(TLS_TRUSTSTORE="trust.p12")
    assert (without.effective_client_auth, without.verifies_hostname) == ("none", True)
    assert (with_trust.effective_client_auth, with_trust.verifies_hostname) == ("required", False)


@pytest.mark.parametrize("variable", ["ARTIM", "CONNECT", "ACCEPT", "RESUME"])
@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_times_that_cannot_be_off(variable: str, text: str) -> None:
    assert "greater than 0" in only_problem(**{f"{variable}_TIMEOUTSECONDS": text})


@pytest.mark.parametrize("variable", ["RELEASE", "IDLE", "GRACE"])
def test_times_that_can_be_off(variable: str) -> None:
    name = f"{variable}_TIMEOUTSECONDS"
    assert getattr(load(**{name: "0"}), f"{variable.lower()}_timeout") == 0
    assert getattr(load(**{name: "2.5"}), f"{variable.lower()}_timeout") == 2.5
    assert "0 for no limit" in only_problem(**{name: "-1"})


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("MAX_ASSOCIATIONS", "-1", "0 for no limit"),
        ("NATS_CHUNK_SIZE", "100", "at least 1024"),
        ("WINDOW_SIZE", "1024", "at least 65536"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("LOG_FORMAT", "xml", "auto, text or json"),
        ("TLS_KEYSTORE_TYPE", "JCEKS", "PKCS12, JKS or PEM"),
        ("TLS_PORT", "0", "from 1 to 65535"),
        ("TLS_CLIENT_AUTH", "maybe", "required, optional or none"),
        ("TLS_PROTOCOL_VERSIONS", "TLSv1.2,SSLv3", "one or more of TLSv1.0"),
    ],
)
def test_other_wrong_values(variable: str, text: str, reason: str) -> None:
    assert reason in only_problem(**{variable: text})


def test_words_in_any_case() -> None:
    settings = load(LOG_LEVEL="debug", LOG_FORMAT="JSON", TLS_TRUSTSTORE_TYPE="jks")
    assert (settings.log_level, settings.log_format, settings.tls_truststore_type) == ("DEBUG", "json", "JKS")


def test_all_problems_are_told_at_once() -> None:
    sentences = problems(
        {
            "DIMSE_PORT": "70000",
            "DIMSE_AE": "A" * 17,
            "DIMSE_NATS_SUBJECT_CHANNEL": "C.",
            "DIMSE_TARGET_HOST": "pacs",
            "DIMSE_TARGET_AE": "",
            "DIMSE_TLS_ENABLED": "true",
        }
    )
    names = [
        "DIMSE_AE=",
        "DIMSE_PORT=",
        "DIMSE_NATS_SUBJECT_CHANNEL=",
        "DIMSE_NATS_URL",
        "DIMSE_TARGET_HOST=",
        "DIMSE_TLS",
    ]
    assert [name for name in names if not any(sentence.startswith(name) for sentence in sentences)] == []
    assert len(sentences) == len(names)
    assert not any("\n" in sentence for sentence in sentences)


def test_a_check_of_several_is_left_out_when_one_of_them_is_wrong_alone() -> None:
    sentences = problems(NATS | {"DIMSE_AE": "*", "DIMSE_TARGET_HOST": "pacs", "DIMSE_CALLING_AE": "X" * 17})
    assert len(sentences) == 1


@pytest.mark.parametrize("variable", sorted(FIELD_OF))
def test_no_sentence_speaks_of_the_inside(variable: str) -> None:
    """A text that no kind of value takes: whatever the sentence is, it is meant for people and a single line."""
    reviewed = review_settings(NATS | {variable: "\\ \x1b[31m\n"}, None)
    for sentence in reviewed.problems:
        assert variable in sentence
        assert sentence.isprintable()
        for word in ("pydantic", "Input should", "type=", "validation", "cannot be read"):
            assert word not in sentence


@pytest.mark.parametrize("variable", sorted(SECRETS))
def test_a_secret_is_in_no_text(variable: str) -> None:
    reviewed = review_settings({variable: "hunter2", f"{variable}_FILE": "/hunter"}, None)
    assert "hunter2" not in "".join(reviewed.problems) + repr(reviewed.settings)
    company = {"DIMSE_NATS_USER": "me"} if variable == "DIMSE_NATS_PASSWORD" else {}
    right = bytes(range(32)).hex() if variable == "DIMSE_TUNNEL_KEY" else "hunter2"
    loaded = load_settings(NATS | company | {variable: right}, None)
    assert right not in repr(loaded.settings)


def test_review_keeps_what_is_right() -> None:
    reviewed = review_settings(NATS | {"DIMSE_PORT": "0", "DIMSE_AE": "PACS"}, None)
    assert reviewed.settings.local_ae_titles == ("PACS",)
    assert reviewed.settings.port == 11112
    assert reviewed.wrong == {"DIMSE_PORT"}
