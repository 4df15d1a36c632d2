"""A pod as processes on this machine: what a kubelet does with a Deployment's template, as far as a proxy notices.

Command, arguments, variables, files and probes are those of the object in the cluster. Different are only the ports and
the addresses that it listens on, since all pods share this machine, and where the files lie.
"""

import base64
import os
import shutil
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any, Final

from tests.integration.kubernetes.cluster import Cluster
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

Json = dict[str, Any]

_SOURCES: Final = {"secret": ("Secret", "secretName"), "configMap": ("ConfigMap", "name")}


class Pod:
    """One pod of a Deployment, started at once."""

    def __init__(self, cluster: Cluster, namespace: str, resource: str, folder: Path) -> None:
        """Starts what the Deployment of a DimseProxy wants now.

        Args:
            cluster: with the Deployment and all that it names.
            namespace: of both.
            resource: name of the DimseProxy.
            folder: for the pod's files and output.
        """
        self._cluster: Final = cluster
        self._namespace: Final = namespace
        deployment = cluster.there("Deployment", namespace, f"{resource}-dimse-proxy")
        self._template: Final[Json] = deployment["spec"]["template"]
        (self._container,) = self._template["spec"]["containers"]
        self.name: Final = f"{resource}-dimse-proxy-{uuid.uuid4().hex[:5]}"
        self._root: Final = folder / self.name
        self.ports: Final = {port["name"]: free_port() for port in self._container["ports"]}
        self.mount()
        command = [*self._container["command"], *self._container.get("args", ())]
        env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **self._environment()}
        self.process: Final = ChildProcess(self.name, command, self._root, env=env, cwd=self._root)

    @property
    def grace(self) -> int:
        """Seconds between SIGTERM and SIGKILL."""
        return int(self._template["spec"]["terminationGracePeriodSeconds"])

    def mount(self) -> None:
        """Writes the volumes, or brings them up to date: all files of one change at once, as a kubelet does it."""
        paths = {mount["name"]: mount["mountPath"] for mount in self._container["volumeMounts"]}
        for volume in self._template["spec"]["volumes"]:
            folder = self._root / paths[volume["name"]].lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            for kind in _SOURCES.keys() & volume.keys():
                _write(folder, self._files(kind, volume[kind]))

    def _files(self, kind: str, source: Json) -> dict[str, bytes]:
        what, key = _SOURCES[kind]
        data = self._data(what, source[key])
        items = source.get("items") or [{"key": name, "path": name} for name in data]
        return {item["path"]: data[item["key"]] for item in items}

    def _data(self, kind: str, name: str) -> dict[str, bytes]:
        data = self._cluster.there(kind, self._namespace, name).get("data", {})
        return {key: base64.b64decode(text) if kind == "Secret" else text.encode() for key, text in data.items()}

    def _environment(self) -> dict[str, str]:
        values: dict[str, str] = {}
        for source in self._container.get("envFrom", ()):
            data = self._data("ConfigMap", source["configMapRef"]["name"])
            values |= {key: text.decode() for key, text in data.items()}
        for variable in self._container["env"]:
            match variable:
                case {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}:
                    values[variable["name"]] = self.name
                case {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}:
                    values[variable["name"]] = self._data("Secret", name)[key].decode()
                case _:
                    values[variable["name"]] = variable["value"]
        inside = {name: str(self._root / text[1:]) for name, text in values.items() if text.startswith("/etc/dimse")}
        here = {
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(self.ports["dicom"]),
            "DIMSE_HTTP_HOST": LOOPBACK,
            "DIMSE_HTTP_PORT": str(self.ports["http"]),
        }
        if "dicom-tls" in self.ports:
            here["DIMSE_TLS_PORT"] = str(self.ports["dicom-tls"])
        return values | inside | here

    def is_ready(self) -> bool:
        """Asks the readiness probe."""
        probe = self._container["readinessProbe"]["httpGet"]
        url = f"http://{LOOPBACK}:{self.ports[probe['port']]}{probe['path']}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.HTTPError, OSError):
            assert self.process.is_running(), self.process.output()[-4000:]
            return False

    def wait_until_ready(self) -> None:
        try:
            wait_until(self.is_ready, seconds=60, what=f"{self.name} to be ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.output()[-4000:]}") from None

    def stop(self) -> None:
        """SIGTERM; it must end well before a kubelet would kill it."""
        assert self.process.stop(seconds=self.grace) == 0, self.process.output()[-4000:]


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """The links of a kubelet: each name leads through `..data`, which is replaced in one step."""
    version = folder / f"..{uuid.uuid4().hex}"
    version.mkdir()
    for name, content in files.items():
        (version / name).write_bytes(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    old = (folder / "..data").resolve() if (folder / "..data").is_symlink() else None
    new_link = folder / "..data_tmp"
    new_link.symlink_to(version.name)
    os.replace(new_link, folder / "..data")
    if old is not None:
        shutil.rmtree(old)
