"""A cluster for the tests: an API server, emulated or real, and what a person or a controller does there.

The emulated one is the default. With `KUBE_APISERVER` naming a kube-apiserver (etcd and kube-controller-manager beside
it, or in PATH) the same tests run against that, which shows that the emulation is true to it.
"""

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from dimse_proxy.kubernetes.reconcile import KINDS
from dimse_proxy.kubernetes.resource import KIND, custom_resource_definition
from tests.integration.peers.waiting import wait_until

T = TypeVar("T")
Json = dict[str, Any]


class ApiRefused(Exception):
    """The API server refused."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: Final = code


class Cluster:
    """The view of a person with all rights."""

    def __init__(self, url: str, token: str, operators_token: str, folder: Path, *, is_real: bool = False) -> None:
        self.url: Final = url
        self.token: Final = token
        self.operators_token = operators_token
        self.is_real: Final = is_real
        self.kubeconfig: Final = folder / "kubeconfig"
        self.write_kubeconfig("default")

    def write_kubeconfig(self, namespace: str) -> None:
        """The operator's access: its own token, and the namespace that it is in."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
            "clusters": [{"name": "test", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "test", "user": {"token": self.operators_token}}],
        }
        whole = self.kubeconfig.with_suffix(".new")
        whole.write_text(yaml.safe_dump(config))
        whole.rename(self.kubeconfig)  # an operator that runs reads it meanwhile

    # Requests.

    def request(self, method: str, path: str, body: Json | None = None, *, kind: str = "application/json") -> Json:
        context = None
        if self.url.startswith("https"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        asked = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind, "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=30, context=context) as answer:
                return dict(json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            with suppress(ValueError, KeyError):
                text = json.loads(text)["message"]
            raise ApiRefused(error.code, text) from None

    def path(self, kind: str, namespace: str, name: str = "") -> str:
        return KINDS[kind].path(namespace, name)

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        try:
            return self.request("GET", self.path(kind, namespace, name))
        except ApiRefused as error:
            if error.code == 404:
                return None
            raise

    def there(self, kind: str, namespace: str, name: str) -> Json:
        found = self.get(kind, namespace, name)
        assert found is not None, f"{kind} {name} is not there"
        return found

    def all(self, kind: str, namespace: str) -> list[Json]:
        return list(self.request("GET", self.path(kind, namespace))["items"])

    def create(self, obj: Json, namespace: str) -> Json:
        return self.request("POST", self.path(obj["kind"], namespace), obj)

    def patch(self, kind: str, namespace: str, name: str, patch: Json, *, part: str = "") -> Json:
        path = self.path(kind, namespace, name) + (f"/{part}" if part else "")
        return self.request("PATCH", path, patch, kind="application/merge-patch+json")

    def replace_spec(self, namespace: str, name: str, change: Callable[[Json], None]) -> Json:
        """Changes the spec of a DimseProxy as `kubectl edit` does."""
        while True:
            obj = self.there(KIND, namespace, name)
            change(obj["spec"])
            try:
                return self.request("PUT", self.path(KIND, namespace, name), obj)
            except ApiRefused as error:
                if error.code != 409:
                    raise

    def delete(self, kind: str, namespace: str, name: str) -> None:
        options = {"propagationPolicy": "Background"}
        self.request("DELETE", self.path(kind, namespace, name), options)

    # What tests begin with.

    def define(self) -> None:
        """The CustomResourceDefinition, known to everybody when this returns."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        try:
            self.request("POST", path, custom_resource_definition())
        except ApiRefused as error:
            if error.code != 409:
                raise

        def served() -> bool:
            try:
                self.all(KIND, "default")
            except ApiRefused:
                return False
            return True

        self.wait(served, "the custom resource to be served")

    def make_namespace(self, name: str) -> str:
        self.request(
            "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )
        return name

    def secret(self, namespace: str, name: str, **data: str) -> None:
        """Makes a Secret or replaces its data."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        if self.get("Secret", namespace, name) is None:
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
            self.create(secret, namespace)
        else:
            self.patch("Secret", namespace, name, {"data": encoded})

    def proxy(self, namespace: str, name: str, spec: Json) -> Json:
        """Makes a DimseProxy."""
        api = KINDS[KIND].api_version
        return self.create({"apiVersion": api, "kind": KIND, "metadata": {"name": name}, "spec": spec}, namespace)

    # What controllers do.

    def run_pods(self, namespace: str, name: str) -> None:
        """Plays the Deployment's controller: all pods are new and ready."""
        deployment = self.there("Deployment", namespace, f"{name}-dimse-proxy")
        replicas = deployment["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
        status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
        self.patch("Deployment", namespace, f"{name}-dimse-proxy", {"status": status}, part="status")

    # Waiting.

    def wait(self, condition: Callable[[], T], what: str, *, seconds: float = 30.0) -> T:
        return wait_until(condition, seconds=seconds, what=what)

    def wait_for_phase(self, namespace: str, name: str, phase: str, message: str = "") -> Json:
        """The status, once it is in this phase for the present generation."""
        last: Json = {}

        def check() -> Json | None:
            nonlocal last
            time.sleep(0.03)
            obj = self.get(KIND, namespace, name) or {"metadata": {}}
            last = obj.get("status", {})
            is_new = last.get("observedGeneration") == obj["metadata"].get("generation")
            return last if is_new and last.get("phase") == phase and message in last.get("message", "") else None

        try:
            found = self.wait(check, f"{name} to be {phase} {message}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {last}") from None
        assert found is not None
        return found

    def events(self, namespace: str, name: str) -> list[tuple[str, str, str]]:
        """Type, reason and message of what was said about a resource."""
        return [
            (event["type"], event["reason"], event["message"])
            for event in self.all("Event", namespace)
            if event["involvedObject"]["name"] == name and event["involvedObject"]["kind"] == KIND
        ]

    def wait_for_event(self, namespace: str, name: str, reason: str, part: str = "") -> str:
        def check() -> str | None:
            time.sleep(0.03)
            said = [message for _, why, message in self.events(namespace, name) if why == reason and part in message]
            return said[-1] if said else None

        found = self.wait(check, f"an event {reason} on {name}")
        assert found is not None
        return found

    def versions(self, namespace: str) -> dict[tuple[str, str], str]:
        """The resource version of everything but events and leases in a namespace."""
        kinds = ("ConfigMap", "Service", "Deployment", KIND, *(() if self.is_real else ("PodDisruptionBudget",)))
        return {
            (kind, obj["metadata"]["name"]): obj["metadata"]["resourceVersion"]
            for kind in kinds
            for obj in self.all(kind, namespace)
        }
