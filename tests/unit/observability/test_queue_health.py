"""Readiness where objects are queued: the queue's trouble is seen, and takes nothing out of service that works."""

from collections.abc import Sequence

import pytest

from dimse_proxy.observability.queue_view import FlowView
from dimse_proxy.proxy.routes import ANY, STORE_AND_FORWARD, LocalAe, MoveAlias
from tests.unit.observability.watching import Stage, flow, routes, target

QUEUED = LocalAe(called="INGESTION", channel="B", delivery=STORE_AND_FORWARD)
RELAYED = LocalAe(called=ANY, channel="B")
BROKEN = flow(trouble="JetStream is not enabled")


def stage(
    flows: Sequence[FlowView], *, local: Sequence[LocalAe] = (QUEUED,), has_peer: bool = True, has_alias: bool = False
) -> Stage:
    aliases = [MoveAlias(asker="WS1", alias="WS1_REMOTE", channel="B")] if has_alias else []
    made = Stage(routes=routes(local_aes=local, move_aliases=aliases), flows=list(flows))
    if not has_peer:
        made.tunnel.known = []
    return made


def reasons(made: Stage) -> tuple[list[str], list[str]]:
    ready = made.snapshot.ready()
    assert ready["ready"] is not bool(ready["reasons"])
    return list(ready["reasons"]), list(ready["degraded"])


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (stage([flow()]), ([], [])),
        (stage([BROKEN]), (["queue"], [])),
        (stage([BROKEN], local=(QUEUED, RELAYED)), ([], ["queue-out-B"])),
        (stage([BROKEN], has_alias=True), ([], ["queue-out-B"])),
        (stage([flow(channel="C", trouble="gone")], local=(QUEUED,)), ([], ["queue-out-C"])),
        (stage([flow("in", trouble="no permission")], local=(RELAYED,)), ([], ["queue-in-B"])),
        (stage([flow()], has_peer=False), ([], ["peer"])),
        (stage([flow(needs_target=True)], has_peer=False), (["peer"], [])),
        (stage([BROKEN], has_peer=False), (["queue"], ["peer"])),
        (stage([BROKEN], local=(QUEUED, RELAYED), has_peer=False), (["peer"], ["queue-out-B"])),
        (stage([flow("in", targets=[target("P1", rests_for=9.0)])]), ([], [])),
        (stage([flow("in", targets=[target("P1", rests_for=9.0, is_alarm=True)])]), ([], ["target-P1"])),
    ],
)
def test_what_is_in_the_way(made: Stage, expected: tuple[list[str], list[str]]) -> None:
    assert reasons(made) == expected


def test_the_sentences_say_which_queue_and_why() -> None:
    made = stage([BROKEN, flow("in", trouble="no stream")])
    assert made.health.reasons["queue"] == "objects to channel B cannot be queued: JetStream is not enabled"
    assert made.health.degraded["queue-in-B"] == "objects from channel B cannot be delivered: no stream"


def test_without_nats_that_is_the_reason() -> None:
    made = stage([flow(trouble="this proxy is not connected to NATS")])
    made.tunnel.is_connected = False
    assert reasons(made) == (["nats"], [])


def test_a_leaf_node_takes_objects_while_the_hub_is_away() -> None:
    made = stage([flow()])
    made.tunnel.is_connected = False
    assert reasons(made) == ([], ["nats"])
    made.flows = [flow(needs_target=True)]
    assert reasons(made) == (["nats"], [])
