"""A real Orthanc with a configuration and a database of its own, and the part of its REST interface that tests need."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.integration.peers import dicom_files
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port

ORTHANC: Final = "/usr/sbin/Orthanc"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancTls:
    """PEM files of Orthanc's."""

    key: Path
    certificate: Path
    authority: Path

    def settings(self) -> dict[str, object]:
        return {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(self.certificate),
            "DicomTlsPrivateKey": str(self.key),
            "DicomTlsTrustedCertificates": str(self.authority),
            "DicomTlsRemoteCertificateRequired": True,
        }


class Orthanc:
    """Orthanc with DICOM on a given port and HTTP on a free one; leaving the with block ends it."""

    def __init__(
        self,
        port: int,
        folder: Path,
        *,
        ae: str = "TARGET",
        modalities: Mapping[str, tuple[str, int]] | None = None,
        tls: OrthancTls | None = None,
        configuration: Mapping[str, object] | None = None,
    ) -> None:
        """Starts it and waits until it listens.

        Args:
            port: of DICOM.
            folder: for its configuration and database; made if it is missing.
            ae: AE title.
            modalities: the peers that it knows, symbolic name to AE title and loopback port.
            tls: with it, every DICOM connection has TLS, and certificates are demanded.
            configuration: instead of what those above make; ports and folders are put into it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.port: Final = port
        self.http_port: Final = free_port()
        config = folder / "orthanc.json"
        given = configuration or self._configuration(ae, modalities or {}, tls)
        config.write_text(json.dumps({**given, **self._places(folder)}, indent=1))
        self.process: Final = ChildProcess("orthanc", [ORTHANC, "--verbose", str(config)], folder)
        self.process.wait_for_listener(self.http_port)
        self.process.wait_for_listener(port)

    def _places(self, folder: Path) -> dict[str, object]:
        return {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "index"),
            "HttpPort": self.http_port,
            "HttpBindAddresses": [LOOPBACK],
            "DicomPort": self.port,
        }

    def _configuration(
        self, ae: str, modalities: Mapping[str, tuple[str, int]], tls: OrthancTls | None
    ) -> dict[str, object]:
        return {
            "Name": "test",
            "StorageCompression": False,
            "Plugins": [],
            "RemoteAccessAllowed": True,
            "AuthenticationEnabled": False,
            "SslEnabled": False,
            "DicomServerEnabled": True,
            "DicomAet": ae,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "DicomCheckModalityHost": False,
            "DicomScpTimeout": 30,
            "DicomAssociationCloseDelay": 0,  # it would keep its associations for five seconds
            "UnknownSopClassAccepted": True,
            "OverwriteInstances": True,
            "DicomModalities": {
                name: {
                    "AET": title,
                    "Host": LOOPBACK,
                    "Port": number,
                    "AllowTranscoding": False,
                    "UseDicomTls": tls is not None,
                }
                for name, (title, number) in modalities.items()
            },
            "StableAge": 1,
            "JobsHistorySize": 100,
            "ConcurrentJobs": 4,
            "DicomThreadsCount": 4,
            **({} if tls is None else tls.settings()),
        }

    def get(self, path: str) -> bytes:
        """GET of the REST interface."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def get_json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def post(self, path: str, body: object) -> Any:
        """POST of JSON; waits for the end of what it starts."""
        asked = urllib.request.Request(
            f"http://{LOOPBACK}:{self.http_port}{path}", data=json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read())

    def delete(self, path: str) -> None:
        asked = urllib.request.Request(f"http://{LOOPBACK}:{self.http_port}{path}", method="DELETE")
        with urllib.request.urlopen(asked, timeout=30):
            pass

    def instances(self) -> list[str]:
        """Orthanc's own identifiers of what it holds."""
        return list(self.get_json("/instances"))

    def upload(self, path: Path) -> str:
        """Puts a file in by HTTP and returns Orthanc's identifier of it."""
        asked = urllib.request.Request(
            f"http://{LOOPBACK}:{self.http_port}/instances", data=path.read_bytes(), method="POST"
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return str(json.loads(answer.read())["ID"])

    def digests(self, folder: Path) -> dict[str, str]:
        """SOP Instance UID to digest of the data set of everything that it holds.

        Args:
            folder: for the files on their way.
        """
        folder.mkdir(parents=True, exist_ok=True)
        found = {}
        for instance in self.instances():
            path = folder / f"{instance}.dcm"
            path.write_bytes(self.get(f"/instances/{instance}/file"))
            file = dicom_files.read(path)
            found[file.sop_instance] = file.digest()
            path.unlink()
        return found

    def clear(self) -> None:
        """Forgets everything that it holds."""
        for patient in self.get_json("/patients"):
            self.delete(f"/patients/{patient}")

    def __enter__(self) -> "Orthanc":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        # SIGTERM would take it three seconds, and nobody reads its database afterwards.
        self.process.kill()
