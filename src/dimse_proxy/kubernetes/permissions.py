"""What the operator may do in a cluster, and no more: the one list from which roles are made.

Each verb is one that `api` or a watch of kopf's uses; the tests of the operator run with exactly these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dimse_proxy.kubernetes.resource import GROUP, PLURAL

Json = dict[str, Any]

_SEEN: Final = ("get", "list", "watch")
_MADE: Final = (*_SEEN, "create", "update", "delete")
"""Delete also where nothing is removed: some clusters ask it of whoever adopts an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a role."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def manifest(self) -> Json:
        """Return it as a role has it."""
        rule: Json = {"apiGroups": [self.group], "resources": [self.resource], "verbs": list(self.verbs)}
        return rule | ({"resourceNames": list(self.names)} if self.names else {})


LEASE_NAME: Final = "dimse-proxy-operator"
"""The Lease for which operators stand."""

WORK: Final = (
    Rule(group=GROUP, resource=PLURAL, verbs=_SEEN),
    Rule(group=GROUP, resource=f"{PLURAL}/status", verbs=("patch",)),
    Rule(group="apps", resource="deployments", verbs=_MADE),
    Rule(group="", resource="services", verbs=_MADE),
    Rule(group="", resource="configmaps", verbs=_MADE),
    Rule(group="policy", resource="poddisruptionbudgets", verbs=_MADE),
    Rule(group="", resource="secrets", verbs=_SEEN),
    Rule(group="", resource="events", verbs=("create",)),
)
"""In each namespace that is served."""

ELECTION: Final = (
    Rule(group="coordination.k8s.io", resource="leases", verbs=("create",)),
    Rule(group="coordination.k8s.io", resource="leases", verbs=("get", "update"), names=(LEASE_NAME,)),
)
"""In the namespace of the Lease: one that is served, or the operator's own where it serves all."""


def roles(account: str, namespace: str = "") -> tuple[Json, ...]:
    """Return the Role and its binding for an operator that serves one namespace.

    Args:
        account: name of the service account, in the same namespace.
        namespace: empty where kustomize fills it in.
    """
    return _role("Role", account, account, namespace, (*WORK, *ELECTION))


def cluster_roles(account: str, namespace: str) -> tuple[Json, ...]:
    """Return the roles and bindings for an operator that serves all namespaces, and has the Lease in its own."""
    return (
        *_role("ClusterRole", account, account, namespace, WORK),
        *_role("Role", f"{account}-election", account, namespace, ELECTION),
    )


def _role(kind: str, name: str, account: str, namespace: str, rules: tuple[Rule, ...]) -> tuple[Json, Json]:
    where: Mapping[str, str] = {"namespace": namespace} if namespace and kind == "Role" else {}
    metadata = {"name": name, **where, "labels": {"app.kubernetes.io/name": "dimse-proxy-operator"}}
    subject: Json = {"kind": "ServiceAccount", "name": account} | ({"namespace": namespace} if namespace else {})
    api = "rbac.authorization.k8s.io"
    return (
        {
            "apiVersion": f"{api}/v1",
            "kind": kind,
            "metadata": metadata,
            "rules": [rule.manifest() for rule in rules],
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": kind, "name": name},
            "subjects": [subject],
        },
    )
