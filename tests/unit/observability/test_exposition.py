"""The metrics by the conventions, and everything in deploy/ that asks for one against those that exist."""

import json
import re
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from dimse_proxy.observability.exposition import Exposition, Sources
from dimse_proxy.observability.queue_view import FlowCounts
from dimse_proxy.proxy.hooks import EndCause, Side
from tests.unit.observability.watching import (
    ACCEPT,
    REQUEST,
    STORE_RQ,
    STORE_RSP,
    TARGET,
    Stage,
    depth,
    ending,
    flow,
    message,
    peer,
    record,
    refusal,
    target,
)

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
DOCS = Path(__file__).resolve().parents[3] / "docs" / "observability.md"
NAME = re.compile(r"\b(?:dimse_proxy|process|python)_\w+")


def busy() -> Stage:
    """Something of everything has happened."""
    stage = Stage()
    counts = stage.counts
    asked = stage.ask(established=100.1)
    counts.association_accepted(asked, ACCEPT, REQUEST, ())
    counts.message_seen(asked, message(STORE_RQ, from_requestor=True, length=9))
    counts.message_seen(asked, message(STORE_RSP, from_requestor=False, duration=0.2))
    counts.operation_refused(asked, "N-DELETE", from_end_point=True)
    stage.end(asked, ending(EndCause.IDLE))
    stage.end(record(Side.REQUESTOR), refusal())
    stage.health.target_said(TARGET, None)
    stage.tunnel.known += [
        peer(instance="b2", round_trip=0.5, in_flight=10),
        peer(instance="b3", present=False),
        peer(instance="b4", going_away=True),
        peer(instance="b5", compatible=False),
    ]
    counts.peer_lost("B", "b3", "silent")
    counts.nats_connected("nats", 1)
    sent, brought = FlowCounts(queued=4, queued_bytes=400), FlowCounts(delivered_bytes=300, retried=2, swept=1)
    sent.refused[0xA700] += 1
    brought.delivered[True] += 3
    brought.dead["age"] += 1
    stage.flows = [
        flow("out", counts=sent, trouble="JetStream is not enabled"),
        flow(
            "in",
            counts=brought,
            depth=depth(dead=1),
            unreadable=2,
            targets=[target(), target("P2", rests_for=3.0), target("P3", rests_for=0.0, is_alarm=True)],
        ),
        flow("out", channel="C", depth=depth(waiting=0, oldest=None, limit=0)),
        flow("in", channel="C", depth=None),
    ]
    return stage


@dataclass(frozen=True)
class DeliveryDouble:
    name: str = "tls://log:6514"
    is_reachable: bool = False
    waiting: int = 3
    waiting_bytes: int = 3000
    sent: int = 7
    dropped: int = 2
    too_long: int = 1


@dataclass(frozen=True)
class AuditDouble:
    deliveries: tuple[DeliveryDouble, ...] = (DeliveryDouble(), DeliveryDouble(name="/audit.json", is_reachable=True))
    made: Mapping[str, int] = field(default_factory=lambda: {"query": 4})
    contents_unread: int = 5


def exposed(stage: Stage, *, with_audit: bool = True) -> str:
    sources = Sources(
        clock=lambda: stage.now,
        wall_clock=lambda: 1_700_000_000 + stage.now,
        counts=stage.counts,
        health=stage.health,
        tunnel=stage.tunnel,
        nats=stage.nats,
        build={"version": "0.1.0", "channel": "A"},
        flows=lambda: stage.flows,
        audit=AuditDouble() if with_audit else None,
    )
    return Exposition(sources).text().decode()


def samples(text: str) -> dict[str, set[str]]:
    """Name of each sample -> names of its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_names_follow_the_conventions() -> None:
    families = [each for each in text_string_to_metric_families(exposed(busy())) if each.name.startswith("dimse_")]
    assert len(families) > 30
    for family in families:
        assert family.documentation.endswith("."), family.name
        assert not family.name.endswith(("_count", "_sum", "_ms", "_milliseconds"))
        for sample in family.samples:
            assert (family.type == "counter") is sample.name.endswith("_total"), sample.name


def test_values_are_those_that_were_counted() -> None:
    text = exposed(busy())
    for line in (
        "dimse_proxy_ready 1.0",
        "dimse_proxy_target_reachable 1.0",
        'dimse_proxy_associations_refused_total{code="limit",reason="2",result="2",side="requestor",source="3"} 1.0',
        'dimse_proxy_associations_ended_total{cause="idle",side="acceptor"} 1.0',
        'dimse_proxy_associations_ended_total{cause="released",side="acceptor"} 0.0',
        'dimse_proxy_responses_total{direction="in",service="C-STORE",status="failure"} 1.0',
        'dimse_proxy_response_seconds_bucket{le="0.25",service="C-STORE",waited_for="tunnel"} 1.0',
        'dimse_proxy_tunnel_peers{state="present"} 2.0',
        'dimse_proxy_tunnel_peers{state="going-away"} 1.0',
        "dimse_proxy_tunnel_in_flight_bytes 10.0",
        "dimse_proxy_tunnel_round_trip_seconds 0.5",
        'dimse_proxy_nats_server_info{server="nats://nats:4222"} 1.0',
        "dimse_proxy_nats_reconnects_total 0.0",
        'dimse_proxy_audit_messages_total{event="query"} 4.0',
        'dimse_proxy_audit_messages_total{event="network-entry"} 0.0',
        'dimse_proxy_audit_sent_total{target="/audit.json"} 7.0',
        'dimse_proxy_audit_dropped_total{reason="no-room",target="tls://log:6514"} 2.0',
        'dimse_proxy_audit_dropped_total{reason="too-long",target="tls://log:6514"} 1.0',
        'dimse_proxy_audit_waiting{target="tls://log:6514"} 3.0',
        'dimse_proxy_audit_waiting_bytes{target="tls://log:6514"} 3000.0',
        'dimse_proxy_audit_reachable{target="tls://log:6514"} 0.0',
        'dimse_proxy_audit_reachable{target="/audit.json"} 1.0',
        "dimse_proxy_audit_contents_unread_total 5.0",
        'dimse_proxy_queue_usable{channel="B",direction="out"} 0.0',
        'dimse_proxy_queue_usable{channel="B",direction="in"} 1.0',
        'dimse_proxy_queue_waiting{channel="B",direction="in"} 3.0',
        'dimse_proxy_queue_dead{channel="B",direction="in"} 1.0',
        'dimse_proxy_queue_bytes{channel="B",direction="in"} 3e+06',
        'dimse_proxy_queue_limit_bytes{channel="B",direction="in"} 1e+07',
        'dimse_proxy_queue_oldest_seconds{channel="B",direction="in"} 60.0',
        'dimse_proxy_queue_oldest_seconds{channel="C",direction="out"} 0.0',
        'dimse_proxy_queue_queued_total{channel="B"} 4.0',
        'dimse_proxy_queue_queued_bytes_total{channel="B"} 400.0',
        'dimse_proxy_queue_refused_total{channel="B",status="A700"} 1.0',
        'dimse_proxy_queue_refused_total{channel="C",status="A700"} 0.0',
        'dimse_proxy_queue_delivered_total{channel="B",warning="true"} 3.0',
        'dimse_proxy_queue_delivered_total{channel="B",warning="false"} 0.0',
        'dimse_proxy_queue_retried_total{channel="B"} 2.0',
        'dimse_proxy_queue_given_up_total{channel="B",reason="age"} 1.0',
        'dimse_proxy_queue_given_up_total{channel="B",reason="tries"} 0.0',
        'dimse_proxy_queue_swept_total{channel="B"} 1.0',
        'dimse_proxy_queue_unreadable{channel="B"} 2.0',
        'dimse_proxy_queue_targets_resting{channel="B"} 2.0',
        'dimse_proxy_queue_targets_alarmed{channel="B"} 1.0',
    ):
        assert f"\n{line}\n" in text, line


def test_what_is_not_known_of_a_queue_has_no_value() -> None:
    text = exposed(busy())
    assert 'dimse_proxy_queue_waiting{channel="B",direction="out"}' not in text, "it cannot be used now"
    assert 'dimse_proxy_queue_waiting{channel="C",direction="in"}' not in text, "nobody has looked"
    assert 'dimse_proxy_queue_limit_bytes{channel="C",direction="out"}' not in text, "it has none"
    assert "\ndimse_proxy_queue_" not in exposed(Stage())


def test_without_nats_or_news_there_are_no_invented_values() -> None:
    stage = Stage()
    stage.nats.server, stage.nats.round_trip = "", None
    stage.tunnel.is_connected = False
    text = exposed(stage, with_audit=False)
    assert "dimse_proxy_nats_server_info{" not in text
    assert "\ndimse_proxy_audit" not in text
    assert "\ndimse_proxy_target_reachable " not in text
    assert "\ndimse_proxy_nats_round_trip_seconds " not in text
    assert "\ndimse_proxy_ready 0.0\n" in text


def expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "dimse-proxy.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [each["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    # The text of each rule, without a parser for YAML: from `expr:` to the next key.
    rules = (DEPLOY / "prometheus" / "alerts.yaml").read_text()
    asked += re.findall(r"expr: (.*?)\n        (?:for|labels):", rules, re.DOTALL)
    return asked


def test_dashboard_and_alerts_ask_for_metrics_that_exist() -> None:
    known = samples(exposed(busy()))
    asked = expressions()
    assert len(asked) > 35
    for expression in asked:
        for name in NAME.findall(expression):
            assert name in known, f"{name} in {expression}"
        for name, labels in re.findall(r"((?:dimse_proxy)_\w+)\{([^}]*)\}", expression):
            for label in re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", labels):
                assert label in {*known[name], "instance", "job"}, f"{label} of {name} in {expression}"
        for labels in re.findall(r"by \(([^)]*)\)", expression):
            allowed = {label for name in NAME.findall(expression) for label in known[name]} | {"instance", "le"}
            assert set(labels.replace(" ", "").split(",")) <= allowed, expression


def test_every_rule_has_all_that_people_need() -> None:
    rules = (DEPLOY / "prometheus" / "alerts.yaml").read_text().split("- alert: ")[1:]
    assert len(rules) >= 12
    for rule in rules:
        assert all(f"{word}:" in rule for word in ("expr", "severity", "summary", "description")), rule


def test_the_dashboard_is_the_one_that_its_tool_writes() -> None:
    tool = runpy.run_path(str(DEPLOY.parent / "tools" / "generate_dashboard.py"))
    assert json.loads((DEPLOY / "grafana" / "dimse-proxy.json").read_text()) == tool["dashboard"]()


def test_every_metric_is_documented() -> None:
    text = DOCS.read_text()
    names = {each.name for each in text_string_to_metric_families(exposed(busy())) if each.name.startswith("dimse_")}
    assert [name for name in sorted(names) if f"`{name}" not in text] == []
