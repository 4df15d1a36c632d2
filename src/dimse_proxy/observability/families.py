"""How a family of metrics is made: name with our prefix, help, labels, values. What is counted is for others to say."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from dimse_proxy.observability.counts import Histogram

PREFIX: Final = "dimse_proxy_"


def gauge_of(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """Return a value without labels; None is no value."""
    gauge = GaugeMetricFamily(PREFIX + name, text)
    if value is not None:
        gauge.add_metric((), value)
    return gauge


def gauges_of(
    name: str, text: str, labels: Iterable[str], values: Mapping[tuple[str, ...], float | None]
) -> GaugeMetricFamily:
    """Return values by the labels' values; None is no value."""
    gauge = GaugeMetricFamily(PREFIX + name, text, labels=tuple(labels))
    for key, value in values.items():
        if value is not None:
            gauge.add_metric(key, value)
    return gauge


def counter_of(name: str, text: str, labels: Iterable[str], values: Mapping[Any, int]) -> CounterMetricFamily:
    """Return counts by the labels' values."""
    counter = CounterMetricFamily(PREFIX + name, text, labels=tuple(labels))
    for key, value in values.items():
        counter.add_metric(tuple(map(str, key)), value)
    return counter


def histogram_of(name: str, text: str, labels: Iterable[str], values: Mapping[Any, Histogram]) -> HistogramMetricFamily:
    """Return histograms by the labels' values."""
    family = HistogramMetricFamily(PREFIX + name, text, labels=tuple(labels))
    for key, histogram in values.items():
        family.add_metric(key, buckets=histogram.cumulative(), sum_value=histogram.sum)
    return family
