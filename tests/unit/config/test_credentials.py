"""How the NATS credential is presented."""

import base64
import json

import pytest

from dimse_proxy.config.credentials import NatsCredentials, nats_credentials


def jwt(payload: object) -> str:
    parts = (json.dumps({"alg": "none"}), json.dumps(payload), "signature")
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize(
    ("subject", "user"),
    [("system:serviceaccount:imaging:proxy", "proxy"), ("proxy", "proxy"), ("a:ü", "ü"), ("tenant:???>", "???>")],
)
def test_a_jwt_is_user_and_password(subject: str, user: str) -> None:
    token = jwt({"sub": subject, "iss": "x"})
    assert nats_credentials(token) == NatsCredentials(user=user, password=token)


@pytest.mark.parametrize(
    "token",
    [
        "example",
        "a.b.c",
        "not.base64url!.x",
        jwt({"iss": "no subject"}),
        jwt({"sub": 7}),
        jwt({"sub": ""}),
        jwt({"sub": "a:"}),
        jwt(["sub"]),
        jwt({"sub": "proxy"}) + ".more",
        jwt({"sub": "proxy"}).rpartition(".")[0],
        "\u00fc.\u00fc.\u00fc",
        "",
    ],
)
def test_anything_else_is_a_token(token: str) -> None:
    assert nats_credentials(token) == NatsCredentials(token=token)


def test_no_credential_is_ever_shown() -> None:
    token = jwt({"sub": "proxy"})
    assert token not in repr(nats_credentials(token))
    assert "hunter2" not in repr(nats_credentials("hunter2"))
