"""Every form of authentication, from its variables to a real nats-server: it works, it survives a restart of the
server, a rotated secret is used, and a wrong one is one clear line.
"""

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dimse_proxy.config.nats_access import NatsAccess
from dimse_proxy.config.secret_files import Secrets
from dimse_proxy.config.settings import load_settings
from dimse_proxy.parts import nats_options_of
from dimse_proxy.transports.nats_link import NatsOptions
from tests.certificates import Authority
from tests.integration.peers.nats_jwt import Account, Operator
from tests.integration.transports.conftest import Run, run
from tests.integration.transports.link_user import running
from tests.integration.transports.server_process import ServerProcess
from tests.unit.config.nkey_texts import USER, KeyPair

__all__ = ["run"]

PERMISSIONS = 'permissions: {subscribe: "DIMSE.A.>", publish: ["DIMSE.B.A.>", "DIMSE.A.A.>"]}'
"""The two lines of a channel, and a subject on which a test can hear itself."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form, with a secret that is right and one that is not."""

    server: str
    """nats-server's configuration."""
    right: dict[str, str]
    wrong: dict[str, str]
    sentence: str = "the NATS server does not accept our credentials: "
    secret: str | None = None
    """A text of the wrong secret, which no line may hold."""
    is_fatal: bool = True
    rotating: Path | None = field(default=None)
    """A file that can be replaced by that of the wrong form, and back."""


def write(path: Path, text: str) -> str:
    path.write_text(text + "\n")
    return str(path)


def token(folder: Path) -> Form:
    return Form(
        server='authorization { token: "r1ght" }',
        right={"NATS_AUTH_TOKEN_FILE": write(folder / "right", "r1ght")},
        wrong={"NATS_AUTH_TOKEN_FILE": write(folder / "wrong", "wr0ng")},
        secret="wr0ng",
        rotating=folder / "right",
    )


def user_and_password(folder: Path) -> Form:
    return Form(
        server=f'authorization {{ users: [{{user: "dimse-a", password: "r1ght", {PERMISSIONS}}}] }}',
        right={"NATS_USER": "dimse-a", "NATS_PASSWORD_FILE": write(folder / "right", "r1ght")},
        wrong={"NATS_USER": "dimse-a", "NATS_PASSWORD_FILE": write(folder / "wrong", "wr0ng")},
        secret="wr0ng",
        rotating=folder / "right",
    )


def jwt_as_password(folder: Path) -> Form:
    """The rule of DIMSE_NATS_AUTH_TOKEN: the user is the last part of `sub`."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    jwt = f"{part({'alg': 'none'})}.{part({'sub': 'system:serviceaccount:imaging:dimse-a'})}.c2ln"
    return Form(
        server=f'authorization {{ users: [{{user: "dimse-a", password: "{jwt}", {PERMISSIONS}}}] }}',
        right={"NATS_AUTH_TOKEN": jwt},
        wrong={"NATS_AUTH_TOKEN": jwt[:-4] + "b3Ro"},
        secret=jwt[:-4],
    )


def nkey(folder: Path) -> Form:
    right, wrong = KeyPair(USER), KeyPair(USER)
    return Form(
        server=f'authorization {{ users: [{{nkey: "{right.public}", {PERMISSIONS}}}] }}',
        right={"NATS_NKEY_FILE": write(folder / "right", right.seed)},
        wrong={"NATS_NKEY_FILE": write(folder / "wrong", wrong.seed)},
        secret=wrong.seed,
        rotating=folder / "right",
    )


def credentials_file(folder: Path) -> Form:
    operator, other = Operator(), Operator()
    account = Account(operator, "imaging")
    subjects = {"subscribe": ["DIMSE.A.>"], "publish": ["DIMSE.B.A.>", "DIMSE.A.A.>"]}
    right = account.user(folder / "right.creds", **subjects)
    wrong = Account(other, "imaging").user(folder / "wrong.creds", **subjects)
    return Form(
        server=operator.server_config(account),
        right={"NATS_CREDS_FILE": str(right)},
        wrong={"NATS_CREDS_FILE": str(wrong)},
        secret=wrong.read_text().splitlines()[1],
        rotating=right,
    )


def client_certificate(folder: Path) -> Form:
    authority, other = Authority("NATS CA"), Authority("Other CA")
    server_key, server_certificate = authority.issue("server").key_and_certificate(folder, "server")
    key, certificate = authority.issue("dimse-a").key_and_certificate(folder, "right")
    wrong_key, wrong_certificate = other.issue("dimse-a").key_and_certificate(folder, "wrong")
    ca = authority.pem(folder / "ca.pem")
    common = {"NATS_TLS_ENABLED": "true", "NATS_TLS_CA_FILE": str(ca)}
    files = f'cert_file: "{server_certificate}", key_file: "{server_key}", ca_file: "{ca}"'
    return Form(
        server=f"tls {{ {files}, verify_and_map: true }}\n"
        f'authorization {{ users: [{{user: "CN=dimse-a", {PERMISSIONS}}}] }}',
        right={**common, "NATS_TLS_CERT_FILE": str(certificate), "NATS_TLS_KEY_FILE": str(key)},
        wrong={**common, "NATS_TLS_CERT_FILE": str(wrong_certificate), "NATS_TLS_KEY_FILE": str(wrong_key)},
        sentence="not accept our certificate",
        is_fatal=False,
    )


def own_authority(folder: Path) -> Form:
    authority, other = Authority("NATS CA"), Authority("Other CA")
    key, certificate = authority.issue("server").key_and_certificate(folder, "server")
    common = {"NATS_TLS_ENABLED": "true"}
    return Form(
        server=f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}',
        right={**common, "NATS_TLS_CA_FILE": str(authority.pem(folder / "right.pem"))},
        wrong={**common, "NATS_TLS_CA_FILE": str(other.pem(folder / "wrong.pem"))},
        sentence="is not trusted: unable to get local issuer certificate",
        is_fatal=False,
        rotating=folder / "right.pem",
    )


FORMS: list[Callable[[Path], Form]] = [
    token,
    user_and_password,
    jwt_as_password,
    nkey,
    credentials_file,
    client_certificate,
    own_authority,
]


def options_of(server: ServerProcess, variables: dict[str, str]) -> NatsOptions:
    """From variables to the link, as the service does it."""
    environ = {"DIMSE_NATS_URL": f"127.0.0.1:{server.port}"}
    loaded = load_settings(environ | {f"DIMSE_{name}": value for name, value in variables.items()}, None)
    access = NatsAccess(loaded.settings, Secrets(loaded.settings, loaded.origins))
    access.check()
    return nats_options_of(loaded.settings, access, name="test")


@pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)
def test_it_works_and_survives_a_restart_of_the_server(run: Run, tmp_path: Path, make: Callable[[Path], Form]) -> None:
    async def main() -> None:
        async with running(options_of(server, form.right), "DIMSE.A.>") as (link, user):
            for times in (1, 2):
                await user.until(lambda times=times: len(user.connections) == times)  # type: ignore[misc]
                assert link.publish([("DIMSE.A.A.hello", (b"x",))])
                await user.until(lambda times=times: len(user.messages) == times)  # type: ignore[misc]
                if times == 1:
                    server.kill()
                    await user.until(lambda: user.losses)
                    server.start()
            assert not any(fatal for _, fatal in user.errors)

    form = make(tmp_path)
    with ServerProcess(tmp_path, form.server) as server:
        run(main())


@pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)
def test_a_wrong_one_is_one_clear_line(run: Run, tmp_path: Path, make: Callable[[Path], Form]) -> None:
    async def main() -> None:
        async with running(options_of(server, form.wrong), "DIMSE.A.>") as (_, user):
            await user.until(lambda: user.errors)
            [(text, fatal)] = user.errors
            assert form.sentence in text
            assert fatal is form.is_fatal
            assert "\n" not in text
            assert form.secret is None or form.secret not in text
            assert user.connections == []

    form = make(tmp_path)
    with ServerProcess(tmp_path, form.server) as server:
        run(main())


@pytest.mark.parametrize("make", [token, user_and_password, nkey, credentials_file, own_authority])
def test_what_was_put_right_is_found(run: Run, tmp_path: Path, make: Callable[[Path], Form]) -> None:
    """Kubernetes replaces the file of a secret; nobody restarts the proxy for it."""

    async def main() -> None:
        assert form.rotating is not None
        [wrong_file] = [Path(path) for name, path in form.wrong.items() if name.endswith("_FILE")]
        right_text = form.rotating.read_text()
        form.rotating.write_text(wrong_file.read_text())
        async with running(options_of(server, form.right), "DIMSE.A.>") as (_, user):
            await user.until(lambda: user.errors)
            form.rotating.write_text(right_text)
            await user.until(lambda: user.is_connected)

    form = make(tmp_path)
    with ServerProcess(tmp_path, form.server) as server:
        run(main())


def test_a_file_that_is_gone_is_one_line_and_tried_again(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(given, "DIMSE.A.>") as (_, user):
            await user.until(lambda: user.errors)
            assert user.errors[0][0].endswith(f"DIMSE_NATS_CREDS_FILE={path}: No such file or directory.")
            os.rename(kept, path)
            await user.until(lambda: user.is_connected)

    form = credentials_file(tmp_path)
    path, kept = Path(form.right["NATS_CREDS_FILE"]), tmp_path / "kept"
    with ServerProcess(tmp_path, form.server) as server:
        given = options_of(server, form.right)
        path.rename(kept)
        run(main())


def test_a_server_that_asks_for_a_certificate_which_there_is_not(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        variables = {name: value for name, value in form.right.items() if "CERT" not in name and "KEY" not in name}
        async with running(options_of(server, variables), "DIMSE.A.>") as (_, user):
            await user.until(lambda: user.errors)
            [(text, _)] = user.errors
            assert "requires a certificate of ours" in text or "or asks for one" in text

    form = client_certificate(tmp_path)
    with ServerProcess(tmp_path, form.server) as server:
        run(main())
