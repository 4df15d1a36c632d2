import pytest

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.tunnel import TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.subjects import Subjects


def test_channel_permission_is_two_lines() -> None:
    subjects = Subjects("DIMSE", "A", "a1")
    assert subjects.subscriptions() == ("DIMSE.A.*.hello", "DIMSE.A.*.i.a1")
    assert subjects.hello("B") == "DIMSE.B.A.hello"
    assert subjects.instance("B", "b7") == "DIMSE.B.A.i.b7"


@pytest.mark.parametrize(
    ("subject", "channel", "is_hello"),
    [("x.y.A.B.hello", "B", True), ("x.y.A.site-2.i.a1", "site-2", False)],
)
def test_origin_is_read_from_the_subject(subject: str, channel: str, is_hello: bool) -> None:
    subjects = Subjects("x.y", "A", "a1")
    for _ in range(2):
        origin = subjects.parse(subject)
        assert origin is not None
        assert (origin.channel, origin.is_hello) == (channel, is_hello)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "DIMSE",
        "DIMSE.B.A.hello",
        "DIMSE.A.B",
        "DIMSE.A.B.hello.more",
        "DIMSE.A.*.hello",
        "DIMSE.A..hello",
        "DIMSE.A.B.i.a2",
        "DIMSE.A.B.i.a1.more",
        "DIMSE.A.B c.i.a1",
        "OTHER.A.B.hello",
        "\udc80",
    ],
)
def test_other_subjects_are_not_ours(subject: str) -> None:
    assert Subjects("DIMSE", "A", "a1").parse(subject) is None


def test_remembered_subjects_are_bounded() -> None:
    subjects = Subjects("DIMSE", "A", "a1")
    for number in range(3000):
        assert subjects.parse(f"DIMSE.A.c{number}.hello") is not None
    assert len(subjects._cache) <= 1024


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", ">", "ä", "x" * 65])
def test_names_that_are_no_tokens_are_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        TunnelIdentity(name, "a1", 1, "1.0")
    with pytest.raises(LocalProtocolError):
        TunnelIdentity("A", name, 1, "1.0")


@pytest.mark.parametrize("epoch", [-1, 1 << 64])
def test_epochs_have_64_bits(epoch: int) -> None:
    with pytest.raises(LocalProtocolError):
        TunnelIdentity("A", "a1", epoch, "1.0")


def test_settings_are_checked() -> None:
    with pytest.raises(LocalProtocolError):
        TunnelSettings(root="a..b")
    with pytest.raises(LocalProtocolError):
        TunnelSettings(window=0)
