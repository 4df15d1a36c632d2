"""The configuration of this process's own nats-server: a leaf node with JetStream, made of the settings.

It presents to the hub what the proxy itself would present. Secrets are read when it is made, so a restart uses what was
rotated. Nothing here starts anything.
"""

import json
import os
from typing import Any, Final
from urllib.parse import quote, urlsplit

from dimse_proxy.config.credentials import nats_credentials
from dimse_proxy.config.secret_files import Secrets, read_secret
from dimse_proxy.config.settings import Settings

_MEMORY_STORE: Final = 64 * 1024 * 1024
"""Bytes; nothing is stored in memory."""
_LOG_SIZE: Final = 4 * 1024 * 1024
_PING: Final = "5s"
"""As the proxies ask theirs: a hub that is gone without a word is noticed within 15 s."""


def leaf_configuration(settings: Settings, secrets: Secrets, token: str) -> str:
    """Return it, in JSON, which nats-server reads as well as its own format.

    Args:
        settings: that have passed every check, with `leaf_store`.
        secrets: of this process.
        token: that the leaf node's own clients show; there is one, the proxy.

    Raises:
        ConfigError: a secret cannot be read.
    """
    store = settings.leaf_store
    assert store is not None, "there is no leaf node without a store"
    disk = os.statvfs(store)
    configuration = {
        "authorization": {"token": token},
        "jetstream": {
            "store_dir": str(store.resolve()),
            "domain": settings.effective_leaf_domain,
            "sync_interval": "always",
            # The default is a share of what is free at the start, which is little when the queue is long.
            "max_file_store": disk.f_blocks * disk.f_frsize,
            "max_memory_store": _MEMORY_STORE,
        },
        "leafnodes": {"remotes": [_remote(settings, secrets)]},
        "http": "127.0.0.1:-1",  # how it is watched
        "ping_interval": _PING,
        "logfile_size_limit": _LOG_SIZE,
        "logfile_max_num": 2,
    }
    return json.dumps(configuration, ensure_ascii=False, indent=1)


def _remote(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    user, password, more = _identity(settings, secrets)
    urls = []
    for url in settings.effective_leaf_urls:
        if not user:
            urls.append(url)
            continue
        found = urlsplit(url)
        who = quote(user, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
        urls.append(found._replace(netloc=f"{who}@{found.netloc}").geturl())
    return {"urls": urls, **more, **_tls(settings)}


def _identity(settings: Settings, secrets: Secrets) -> tuple[str, str | None, dict[str, str]]:
    """Return user and password of the URL, and what stands beside it; a token is a user without password."""
    if settings.nats_creds_file is not None:
        return "", None, {"credentials": str(settings.nats_creds_file.resolve())}
    if settings.nats_nkey_file is not None:
        return "", None, {"nkey": read_secret(settings.nats_nkey_file, "DIMSE_NATS_NKEY_FILE").strip()}
    if settings.nats_user is not None:
        return settings.nats_user, secrets.get("nats_password"), {}
    token = secrets.get("nats_auth_token")
    if token is None:
        return "", None, {}
    presented = nats_credentials(token)
    return presented.user or presented.token or "", presented.password, {}


def _tls(settings: Settings) -> dict[str, dict[str, str]]:
    files = {
        "ca_file": settings.nats_tls_ca_file,
        "cert_file": settings.nats_tls_cert_file,
        "key_file": settings.nats_tls_key_file,
    }
    named = {name: str(path.resolve()) for name, path in files.items() if path is not None}
    return {"tls": named} if named else {}
