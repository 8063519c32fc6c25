"""One view of the metrics of several workers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from spyglass_server.supervising.families import Family, families_of, from_bytes, to_bytes
from spyglass_server.supervising.joining import add_totals, join

# Gauges of one worker each: what a model sees in one process says nothing of another one.
OF_WORKERS = {"spyglass_model_drift", "spyglass_model_seen_images"}


class Fixed(Collector):
    """A collector of fixed metrics."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return list(self._metrics)


def counter(**counts: float) -> Metric:
    family = CounterMetricFamily("spyglass_requests", "Requests.", labels=("code",))
    for code, count in counts.items():
        family.add_metric((code,), count)
    return family


def gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, "A gauge.", value=value)


def histogram(*buckets: float) -> Metric:
    family = HistogramMetricFamily("spyglass_wait", "Waits.", labels=("model",))
    bounds = ("0.1", "1.0", "+Inf")
    family.add_metric(("m",), list(zip(bounds, buckets, strict=True)), sum_value=sum(buckets))
    return family


def worker(*metrics: Metric) -> list[Family]:
    return families_of(Fixed(*metrics))


def text_of(families: list[Family]) -> str:
    """The page that Prometheus would read; its own parser accepts it."""
    registry = CollectorRegistry()
    registry.register(Fixed(*(family.metric() for family in families)))
    page = generate_latest(registry).decode()
    assert list(text_string_to_metric_families(page))
    return page


def values(families: list[Family]) -> dict[str, float]:
    page = text_of(families)
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_counters_are_summed_for_equal_labels() -> None:
    joined = list(join({}, {"1": worker(counter(OK=3, INTERNAL=1)), "2": worker(counter(OK=4))}))

    assert values(joined) == {
        'spyglass_requests_total{code="OK"}': 7,
        'spyglass_requests_total{code="INTERNAL"}': 1,
    }


def test_histograms_are_summed_with_their_buckets_in_order() -> None:
    joined = list(join({}, {"1": worker(histogram(1, 2, 3)), "2": worker(histogram(10, 20, 30))}))

    assert list(values(joined).values()) == [11, 22, 33, 33, 66]
    assert [key.partition("{")[0] for key in values(joined)][-2:] == [
        "spyglass_wait_count",
        "spyglass_wait_sum",
    ]


@pytest.mark.parametrize(
    ("name", "joined"),
    [
        ("spyglass_queue_requests", 5),
        ("spyglass_held_bytes_limit", 5),
        ("spyglass_stalled_seconds", 3),
        ("spyglass_certificate_left_seconds", 2),
    ],
)
def test_gauges_of_the_whole_server_are_joined_by_their_rule(name: str, joined: float) -> None:
    found = list(join({}, {"1": worker(gauge(name, 2)), "2": worker(gauge(name, 3))}))

    assert values(found) == {name: joined}


@pytest.mark.parametrize("name", ["process_resident_memory_bytes", "spyglass_model_drift", "of_tomorrow"])
def test_gauges_that_have_no_rule_get_the_number_of_their_worker(name: str) -> None:
    found = list(join({}, {"1": worker(gauge(name, 2)), "2": worker(gauge(name, 2))}))

    assert values(found) == {f'{name}{{worker="1"}}': 2, f'{name}{{worker="2"}}': 2}


def test_the_processor_time_is_that_of_each_process() -> None:
    time = CounterMetricFamily("process_cpu_seconds", "Time.", value=2.5)
    past = add_totals({}, worker(time))

    assert past == {}
    assert values(list(join(past, {"1": worker(time)}))) == {'process_cpu_seconds_total{worker="1"}': 2.5}


def test_a_model_is_listed_once() -> None:
    def models(*names: str) -> list[Family]:
        info = InfoMetricFamily("spyglass_model", "Models.")
        for name in names:
            info.add_metric((), {"model": name})
        return worker(info)

    found = values(list(join({}, {"1": models("a"), "2": models("a", "b")})))

    assert found == {'spyglass_model_info{model="a"}': 1, 'spyglass_model_info{model="b"}': 1}


def test_the_counts_of_workers_that_have_ended_are_kept() -> None:
    past = add_totals({}, worker(counter(OK=3), histogram(1, 1, 1), gauge("spyglass_queue_requests", 9)))
    past = add_totals(past, worker(counter(OK=2, INTERNAL=4)))

    found = values(list(join(past, {"1": worker(counter(OK=10))})))

    assert found['spyglass_requests_total{code="OK"}'] == 15
    assert found['spyglass_requests_total{code="INTERNAL"}'] == 4
    assert found['spyglass_wait_count{model="m"}'] == 1
    assert "spyglass_queue_requests" not in found


def test_families_survive_their_way_to_another_process() -> None:
    families = worker(counter(OK=3), histogram(1, 2, 3), gauge("of_tomorrow", math.inf))

    assert from_bytes(to_bytes(families)) == families
    (nan,) = from_bytes(to_bytes(worker(gauge("of_tomorrow", math.nan))))
    assert math.isnan(nan.samples["of_tomorrow", ()])


def test_every_gauge_of_a_server_is_joined_or_of_one_worker(run_server: Callable[..., Any]) -> None:
    server = run_server(metrics_port=0, statistics=True, response_cache_bytes=1024 * 1024).server
    families = families_of(server.metrics)
    gauges = {family.name for family in families if family.kind == "gauge"}

    labelled = {
        family.name
        for family in join({}, {"1": families})
        if any("worker" in dict(labels) for _, labels in family.samples)
    }

    # A new gauge needs a rule in `joining`, or a place in this set and in docs/metrics.md. Whether the server
    # serves is known to the supervisor.
    found = {name for name in labelled & gauges if not name.startswith("process_")}
    assert found <= OF_WORKERS | {"spyglass_serving"}
