"""What the bundle's executable runs: the `dimse-proxy` command, after a look for the machine's trusted authorities.

The OpenSSL inside looks for them where the machine that it was built on keeps them; other systems keep them elsewhere.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu
    "/etc/pki/tls/certs/ca-bundle.crt",  # RHEL and its relatives
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # others
)
"""Where Linux systems keep them, one file with all."""


def use_authorities_of_this_machine(environ: MutableMapping[str, str], root: Path = Path("/")) -> None:
    """Sets SSL_CERT_FILE, unless it or SSL_CERT_DIR is set already, or there is no such file."""
    if "SSL_CERT_FILE" in environ or "SSL_CERT_DIR" in environ:
        return
    for path in AUTHORITIES:
        if (root / path.lstrip("/")).is_file():
            environ["SSL_CERT_FILE"] = path
            return


if __name__ == "__main__":
    use_authorities_of_this_machine(os.environ)
    from dimse_proxy.cli.main import run

    run()
