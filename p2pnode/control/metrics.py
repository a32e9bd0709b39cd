"""Counters for Prometheus, in a registry of their own: nothing global, so two nodes fit into one process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_GAUGES = {
    "peers": "peers that answered with their signature",
    "table": "contacts in the routing table",
    "records": "records held",
    "uptime_s": "seconds since the node began to serve",
}


@attrs.frozen(slots=True, eq=False)
class _Snapshot(Collector):
    status: Mapping[str, Any]

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("p2pnode_info", "who this node is", labels=["id", "network", "role", "version"])
        info.add_metric([str(self.status[name]) for name in ("id", "network", "role", "version")], 1)
        yield info
        for name, help in _GAUGES.items():
            metric = "p2pnode_" + name.replace("uptime_s", "uptime_seconds")
            yield GaugeMetricFamily(metric, help, value=float(self.status[name]))
        streams = GaugeMetricFamily(
            "p2pnode_streams",
            "open now; of them opened by others; handshakes of others; being opened; plain ones that are open",
            labels=["what"],
        )
        for what, value in self.status.get("streams", {}).items():
            streams.add_metric([what], value)
        yield streams
        counters = CounterMetricFamily("p2pnode_core", "counters of the core, by name", labels=["name"])
        for name, value in sorted(self.status.get("counters", {}).items()):
            counters.add_metric([name], value)
        yield counters


def exposition(status: Mapping[str, Any]) -> bytes:
    """The text format of Prometheus for one answer of the status operation, and the process's memory and CPU."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(status))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
