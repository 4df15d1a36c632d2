"""TLS versions and cipher suites: what is offered, what is left out and said, and when nothing is left."""

import ssl

import pytest

from dimse_proxy.config.cipher_suites import DEFAULT_SUITES, OPENSSL_NAMES, iana_name
from dimse_proxy.config.settings import Settings, load_settings
from dimse_proxy.config.tls_plan import TlsPlan, new_context, tls_plan
from dimse_proxy.errors import ConfigError

GCM = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
OLD = "TLS_RSA_WITH_AES_128_CBC_SHA"
TRIPLE_DES = "SSL_RSA_WITH_3DES_EDE_CBC_SHA"


def settings(versions: str = "", suites: str = "") -> Settings:
    environ = {"DIMSE_NATS_URL": "n", "DIMSE_TLS_PROTOCOL_VERSIONS": versions, "DIMSE_TLS_CIPHER_SUITES": suites}
    return load_settings(environ, None).settings


def plan(versions: str = "", suites: str = "") -> TlsPlan:
    return tls_plan(settings(versions, suites))


def has_triple_des() -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("DES-CBC3-SHA:@SECLEVEL=0")
    except ssl.SSLError:
        return False
    return True


def offered(context: ssl.SSLContext) -> list[str]:
    return [suite["name"] for suite in context.get_ciphers() if not suite["name"].startswith("TLS_")]


def test_the_defaults_are_those_of_b_12_and_the_old_one_last() -> None:
    assert plan() == TlsPlan(
        versions=("TLSv1.2", "TLSv1.3"),
        suites=(
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "AES128-SHA",
        ),
        security_level=2,
        notes=(),
    )
    assert offered(new_context(ssl.PROTOCOL_TLS_SERVER, plan())) == list(plan().suites)


def test_every_default_suite_is_one_of_this_openssl() -> None:
    known = {suite["name"] for suite in new_context(ssl.PROTOCOL_TLS_CLIENT, plan()).get_ciphers()}
    assert {OPENSSL_NAMES[suite] for suite in DEFAULT_SUITES} <= known


def test_exactly_the_suites_that_are_named_in_their_order() -> None:
    made = plan(suites=f"{OLD},{GCM}")
    assert made.suites == ("AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256")
    assert made.versions == ("TLSv1.2",)  # TLS 1.3 would bring suites that are not named.
    assert made.notes == ()
    context = new_context(ssl.PROTOCOL_TLS_SERVER, made)
    assert offered(context) == ["AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256"]
    assert context.maximum_version == ssl.TLSVersion.TLSv1_2


def test_tls_1_3_is_left_out_aloud_when_it_was_asked_for() -> None:
    made = plan("TLSv1.2,TLSv1.3", OLD)
    assert made.versions == ("TLSv1.2",)
    assert made.notes == ("DIMSE_TLS_CIPHER_SUITES names no suite of TLS 1.3, so TLSv1.3 is not offered.",)


def test_suites_of_tls_1_3_cannot_be_chosen() -> None:
    made = plan(suites=f"TLS_AES_256_GCM_SHA384,{GCM}")
    assert made.versions == ("TLSv1.2", "TLSv1.3")
    [note] = made.notes
    assert "cannot be chosen one by one" in note
    alone = plan(suites="TLS_AES_256_GCM_SHA384")
    assert (alone.versions, alone.suites) == (("TLSv1.3",), ())
    assert new_context(ssl.PROTOCOL_TLS_CLIENT, alone).minimum_version == ssl.TLSVersion.TLSv1_3


def test_tls_1_3_alone() -> None:
    made = plan("TLSv1.3")
    assert (made.versions, made.suites, made.notes) == (("TLSv1.3",), (), ())


def test_old_versions_need_a_lower_security_level_and_are_warned_about_once() -> None:
    made = plan("TLSv1.2,TLSv1.0")
    assert (made.versions, made.security_level) == (("TLSv1.0", "TLSv1.2"), 0)
    [note] = made.notes
    assert "RFC 8996" in note
    context = new_context(ssl.PROTOCOL_TLS_SERVER, made)
    assert context.minimum_version == ssl.TLSVersion.TLSv1
    assert context.options & ssl.Options.OP_NO_TLSv1_1
    assert not context.options & ssl.Options.OP_NO_TLSv1_2


def test_suites_that_this_openssl_lacks_are_named_once() -> None:
    made = plan(suites=f"{OLD},TLS_RSA_WITH_RC4_128_SHA,{GCM},TLS_NONSENSE")
    assert made.suites == ("AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256")
    [note] = made.notes
    assert "names TLS_RSA_WITH_RC4_128_SHA, TLS_NONSENSE, which OpenSSL" in note


def test_triple_des_by_its_name_of_java() -> None:
    made = plan(suites=f"{OLD},{TRIPLE_DES}")
    if has_triple_des():
        assert (made.suites, made.notes) == (("AES128-SHA", "DES-CBC3-SHA"), ())
    else:
        assert made.suites == ("AES128-SHA",)
        assert "names TLS_RSA_WITH_3DES_EDE_CBC_SHA" in made.notes[0]


@pytest.mark.parametrize(
    ("versions", "suites"), [("", "TLS_RSA_WITH_RC4_128_SHA"), ("TLSv1.3", OLD), ("TLSv1.2", "TLS_AES_128_GCM_SHA256")]
)
def test_no_suite_is_left(versions: str, suites: str) -> None:
    with pytest.raises(ConfigError, match=f"DIMSE_TLS_CIPHER_SUITES={suites}: .* no suite is left"):
        plan(versions, suites)


@pytest.mark.parametrize(
    ("name", "iana"),
    [
        (TRIPLE_DES, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
        (" tls_rsa_with_aes_128_cbc_sha", "TLS_RSA_WITH_AES_128_CBC_SHA"),
        ("SSL_DHE_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    ],
)
def test_names_of_java(name: str, iana: str) -> None:
    assert iana_name(name) == iana
    assert iana in OPENSSL_NAMES


def test_the_table_has_the_names_of_this_openssl() -> None:
    """Every suite of this OpenSSL with RSA or ECDSA certificates and encryption is in the table."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(
        "ALL:COMPLEMENTOFALL:!PSK:!SRP:!ARIA:!CAMELLIA:!aNULL:!eNULL:!DSS:!SEED:!IDEA:!RC4:!RC2:!DES:!GOST"
    )
    missing = set(offered(context)) - set(OPENSSL_NAMES.values())
    assert missing == set()
