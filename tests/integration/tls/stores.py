"""Key stores made by the programs that deployments make them with: Java's keytool, and openssl."""

import subprocess
from pathlib import Path

from tests.certificates import PASSWORD


def keytool(*arguments: object) -> None:
    # -J flags keep the JVM small and quick: there are many short runs.
    command = ["keytool", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


def openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


def import_key(source: Path, destination: Path, kind: str, *options: str, alias: str = "own") -> Path:
    """`keytool -importkeystore`: the key of a PKCS12 file into a store of any type."""
    keytool(
        *options,
        *("-importkeystore", "-noprompt", "-srckeystore", source, "-srcstoretype", "PKCS12"),
        *("-srcstorepass", PASSWORD, "-srcalias", "own", "-destalias", alias),
        *("-destkeystore", destination, "-deststoretype", kind, "-deststorepass", PASSWORD, "-destkeypass", PASSWORD),
    )
    return destination


def import_certificate(certificate: Path, destination: Path, kind: str, *options: str) -> Path:
    """`keytool -importcert`: a trusted certificate into a store of any type."""
    keytool(
        *options,
        *("-importcert", "-noprompt", "-alias", "authority", "-file", certificate),
        *("-keystore", destination, "-storetype", kind, "-storepass", PASSWORD),
    )
    return destination
