"""Writes deploy/grafana/dimse-proxy.json: the dashboard, row by row, in one place that people can read."""

import json
from pathlib import Path
from typing import Any, Final

TARGET: Final = Path(__file__).resolve().parents[1] / "deploy" / "grafana" / "dimse-proxy.json"
WHO: Final = 'instance=~"$instance"'

Panel = dict[str, Any]

STATS: Final = (
    ("Ready", f"min(dimse_proxy_ready{{{WHO}}})", "bool_yes_no"),
    ("NATS connected", f"min(dimse_proxy_nats_connected{{{WHO}}})", "bool_yes_no"),
    ("Peers present", f'min(sum by (instance) (dimse_proxy_tunnel_peers{{{WHO}, state="present"}}))', "short"),
    ("Target reachable", f"min(dimse_proxy_target_reachable{{{WHO}}})", "bool_yes_no"),
    ("Associations active", f"sum(dimse_proxy_associations_active{{{WHO}}})", "short"),
    ("Throughput", f"sum(rate(dimse_proxy_p_data_bytes_total{{{WHO}}}[1m]))", "Bps"),
)

GRAPHS: Final = (
    (
        "Associations active",
        "short",
        [(f"sum by (instance, side) (dimse_proxy_associations_active{{{WHO}}})", "{{instance}} {{side}}")],
    ),
    (
        "Associations asked for, a second",
        "short",
        [(f"sum by (side) (rate(dimse_proxy_associations_requested_total{{{WHO}}}[5m]))", "{{side}}")],
    ),
    (
        "Associations refused, a second",
        "short",
        [(f"sum by (side, code) (rate(dimse_proxy_associations_refused_total{{{WHO}}}[5m]))", "{{side}} {{code}}")],
    ),
    (
        "Associations ended without release, a second",
        "short",
        [
            (
                f'sum by (side, cause) (rate(dimse_proxy_associations_ended_total{{{WHO}, cause!="released"}}[5m]))',
                "{{side}} {{cause}}",
            )
        ],
    ),
    (
        "Throughput",
        "Bps",
        [
            (
                f"sum by (instance, direction) (rate(dimse_proxy_p_data_bytes_total{{{WHO}}}[1m]))",
                "{{instance}} {{direction}}",
            )
        ],
    ),
    (
        "DIMSE requests, a second",
        "short",
        [(f"sum by (service, direction) (rate(dimse_proxy_requests_total{{{WHO}}}[5m]))", "{{service}} {{direction}}")],
    ),
    (
        "DIMSE responses by status, a second",
        "short",
        [(f"sum by (service, status) (rate(dimse_proxy_responses_total{{{WHO}}}[5m]))", "{{service}} {{status}}")],
    ),
    (
        "Time to a response: 95 % within",
        "s",
        [
            (
                "histogram_quantile(0.95, sum by (le, service, waited_for) "
                f"(rate(dimse_proxy_response_seconds_bucket{{{WHO}}}[5m])))",
                "{{service}}, waited for {{waited_for}}",
            )
        ],
    ),
    (
        "Time to an association: 95 % within",
        "s",
        [
            (
                "histogram_quantile(0.95, sum by (le, side) "
                f"(rate(dimse_proxy_association_establishment_seconds_bucket{{{WHO}}}[5m])))",
                "{{side}}",
            )
        ],
    ),
    (
        "Duration of associations: half within",
        "s",
        [
            (
                "histogram_quantile(0.5, sum by (le, side) "
                f"(rate(dimse_proxy_association_duration_seconds_bucket{{{WHO}}}[15m])))",
                "{{side}}",
            )
        ],
    ),
    (
        "Tunnel: in flight and unsent",
        "bytes",
        [
            (f"dimse_proxy_tunnel_in_flight_bytes{{{WHO}}}", "{{instance}} in flight"),
            (f"dimse_proxy_nats_unsent_bytes{{{WHO}}}", "{{instance}} unsent"),
        ],
    ),
    (
        "Tunnel: sent again, and credit used up",
        "short",
        [
            (f"rate(dimse_proxy_tunnel_resends_total{{{WHO}}}[5m])", "{{instance}} sent again"),
            (f"rate(dimse_proxy_tunnel_gaps_total{{{WHO}}}[5m])", "{{instance}} gaps"),
            (f"rate(dimse_proxy_tunnel_credit_stalls_total{{{WHO}}}[5m])", "{{instance}} credit used up"),
            (f"rate(dimse_proxy_tunnel_resumes_total{{{WHO}}}[5m])", "{{instance}} resumed"),
        ],
    ),
    (
        "Round trips",
        "s",
        [
            (f"dimse_proxy_tunnel_round_trip_seconds{{{WHO}}}", "{{instance}} to a peer"),
            (f"dimse_proxy_nats_round_trip_seconds{{{WHO}}}", "{{instance}} to NATS"),
        ],
    ),
    (
        "Messages not used, a second",
        "short",
        [
            (
                f"sum by (instance, reason) (rate(dimse_proxy_tunnel_discarded_total{{{WHO}}}[5m]))",
                "{{instance}} {{reason}}",
            )
        ],
    ),
    (
        "NATS: reconnects in 15 minutes",
        "short",
        [(f"increase(dimse_proxy_nats_reconnects_total{{{WHO}}}[15m])", "{{instance}}")],
    ),
    (
        "Queues: objects waiting, and dead letters",
        "short",
        [
            (f"dimse_proxy_queue_waiting{{{WHO}}}", "{{instance}} {{direction}} {{channel}} waiting"),
            (f"dimse_proxy_queue_dead{{{WHO}}}", "{{instance}} {{direction}} {{channel}} dead"),
        ],
    ),
    (
        "Queues: age of the oldest object",
        "s",
        [(f"dimse_proxy_queue_oldest_seconds{{{WHO}}}", "{{instance}} {{direction}} {{channel}}")],
    ),
    (
        "Queues: objects queued, delivered, retried, refused, given up, a second",
        "short",
        [
            (f"sum by (channel) (rate(dimse_proxy_queue_queued_total{{{WHO}}}[5m]))", "to {{channel}} queued"),
            (f"sum by (channel) (rate(dimse_proxy_queue_refused_total{{{WHO}}}[5m]))", "to {{channel}} refused"),
            (f"sum by (channel) (rate(dimse_proxy_queue_delivered_total{{{WHO}}}[5m]))", "from {{channel}} delivered"),
            (f"sum by (channel) (rate(dimse_proxy_queue_retried_total{{{WHO}}}[5m]))", "from {{channel}} retried"),
            (f"sum by (channel) (rate(dimse_proxy_queue_given_up_total{{{WHO}}}[5m]))", "from {{channel}} given up"),
        ],
    ),
    (
        "Queues: bytes, and the limit",
        "bytes",
        [
            (f"dimse_proxy_queue_bytes{{{WHO}}}", "{{instance}} {{direction}} {{channel}}"),
            (f"dimse_proxy_queue_limit_bytes{{{WHO}}}", "{{instance}} {{direction}} {{channel}} limit"),
        ],
    ),
    (
        "Process",
        "bytes",
        [(f'process_resident_memory_bytes{{{WHO}, job="dimse-proxy"}}', "{{instance}} memory")],
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels = [_stat(number, *stat) for number, stat in enumerate(STATS)]
    panels += [_graph(number, *graph) for number, graph in enumerate(GRAPHS)]
    return {
        "title": "DIMSE Proxy",
        "uid": "dimse-proxy",
        "schemaVersion": 39,
        "tags": ["dicom", "nats"],
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                {
                    "name": "instance",
                    "type": "query",
                    "label": "Proxy",
                    "datasource": _source(),
                    "query": "label_values(dimse_proxy_build_info, instance)",
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                },
            ]
        },
        "panels": panels,
    }


def _source() -> dict[str, str]:
    return {"type": "prometheus", "uid": "${datasource}"}


def _stat(number: int, title: str, expression: str, unit: str) -> Panel:
    steps: list[dict[str, Any]] = [{"color": "red" if unit == "bool_yes_no" else "green", "value": None}]
    if unit == "bool_yes_no":
        steps.append({"color": "green", "value": 1})
    return {
        "id": number + 1,
        "type": "stat",
        "title": title,
        "datasource": _source(),
        "gridPos": {"x": 4 * number, "y": 0, "w": 4, "h": 4},
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [{"refId": "A", "expr": expression}],
    }


def _graph(number: int, title: str, unit: str, lines: list[tuple[str, str]]) -> Panel:
    return {
        "id": 100 + number,
        "type": "timeseries",
        "title": title,
        "datasource": _source(),
        "gridPos": {"x": 12 * (number % 2), "y": 4 + 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(lines)
        ],
    }


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(dashboard(), indent=2) + "\n")
