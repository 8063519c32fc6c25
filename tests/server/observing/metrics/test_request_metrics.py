"""What the metrics count, on a real server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spyglass.v1 import admin_pb2
from spyglass.v1.admin_pb2_grpc import AdminStub
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ListModelsRequest, ModelRef
from spyglass_server.engine.observation import Observation
from spyglass_server.observing.metrics.requests import RequestMetrics
from spyglass_server.observing.model_totals import TotalsOfModels
from spyglass_server.observing.request_log import RequestLog
from tiny_classifier import tiny_card, write_tiny_model

PATIENCE = 30

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def metered(run_server: Callable[..., Any]) -> Any:
    return run_server(metrics_port=0)


def scrape(running: Any) -> Samples:
    with urlopen(f"http://localhost:{running.server.metrics_port}/metrics", timeout=PATIENCE) as page:
        text = page.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that have these labels."""
    return sum(
        value
        for (found, own), value in samples.items()
        if found == name and labels.items() <= dict(own).items()
    )


def test_an_answered_request_is_counted_with_its_stages(
    metered: Any, color_image: Callable[..., bytes]
) -> None:
    image = color_image("red")
    request = ClassifyRequest(image=Image(encoded=image))
    for _ in range(3):
        response = metered.vision.Classify(request, timeout=PATIENCE)
    served = response.served_by

    samples = scrape(metered)
    model = {"model": served.model, "version": str(served.version)}
    assert total(samples, "spyglass_requests_total", method="Classify", code="OK", **model) == 3
    assert total(samples, "spyglass_request_duration_seconds_count", method="Classify", **model) == 3
    for stage in ("decode", "queue", "inference", "encode"):
        assert total(samples, "spyglass_stage_duration_seconds_count", stage=stage, **model) == 3
    assert total(samples, "spyglass_batch_size_sum", **model) == 3
    assert total(samples, "spyglass_images_total", format="PNG") == 3
    assert total(samples, "spyglass_received_bytes_total", method="Classify") == 3 * request.ByteSize()
    assert total(samples, "spyglass_sent_bytes_total", method="Classify") > 0
    assert total(samples, "spyglass_image_pixels_total", **model) > 0
    assert (
        total(
            samples, "spyglass_answered_total", provider=served.provider, precision=served.precision, **model
        )
        == 3
    )


def test_failed_requests_are_counted_by_code_and_have_no_label_of_the_caller(metered: Any) -> None:
    for name in ("made-up", "another"):
        with pytest.raises(grpc.RpcError):
            metered.vision.Classify(
                ClassifyRequest(image=Image(encoded=b"-"), model=ModelRef(name=name)), timeout=PATIENCE
            )

    samples = scrape(metered)
    assert total(samples, "spyglass_requests_total", code="NOT_FOUND", model="") == 2
    assert not any("made-up" in value for _, labels in samples for _, value in labels)


def test_messages_are_requests_and_streams_are_counted_apart(
    metered: Any, color_image: Callable[..., bytes]
) -> None:
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    assert len(list(metered.vision.ClassifyStream(iter([request] * 4), timeout=PATIENCE))) == 4

    samples = scrape(metered)
    assert total(samples, "spyglass_requests_total", method="ClassifyStream", code="OK") == 4
    assert total(samples, "spyglass_streams_total", method="ClassifyStream", code="OK") == 1


@pytest.mark.slow
def test_refused_and_dropped_requests_are_counted_by_reason(
    run_server: Callable[..., Any],
    open_network: Callable[..., Any],
    network: Any,
    color_image: Callable[..., bytes],
    eventually: Callable[..., None],
) -> None:
    running = run_server(open_network, metrics_port=0, max_in_flight=1)
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    network.close_gate()
    held = running.vision.Classify.future(request, timeout=1)
    assert network.entered.acquire(timeout=PATIENCE)
    assert total(scrape(running), "spyglass_inside_requests") == 1
    with pytest.raises(grpc.RpcError):
        running.vision.Classify(request, timeout=PATIENCE)
    assert held.exception(timeout=PATIENCE)
    network.gate.set()

    assert total(scrape(running), "spyglass_refused_total", reason="QUEUE_FULL") == 1
    # The client ends the call at its deadline, too: the server may hear of that first.
    eventually(lambda: total(scrape(running), "spyglass_dropped_total") == 1)


def test_the_server_and_its_models_are_shown(metered: Any) -> None:
    (model,) = metered.vision.ListModels(ListModelsRequest(), timeout=PATIENCE).models

    samples = scrape(metered)
    info = {"model": model.name, "version": str(model.version), "sha256": model.sha256}
    assert total(samples, "spyglass_model_info", provider=model.provider, **info) == 1
    assert total(samples, "spyglass_model_max_batch", model=model.name) == model.max_batch
    assert total(samples, "spyglass_serving") == 1
    assert total(samples, "spyglass_concurrency") == 1
    assert total(samples, "process_resident_memory_bytes") > 0
    assert any(name == "python_gc_collections_total" for name, _ in samples)


def test_states_labels_and_loads_of_versions_are_shown(
    run_server: Callable[..., Any], tmp_path: Path
) -> None:
    write_tiny_model(tmp_path, tiny_card("colors", 1))
    running = run_server(models=tmp_path, admin=True, metrics_port=0)
    admin = AdminStub(running.channel)
    admin.SetLabel(admin_pb2.SetLabelRequest(name="colors", label="stable", version=1), timeout=PATIENCE)
    shutil.copytree(tmp_path / "colors/1", tmp_path / "colors/2")
    admin.Reload(admin_pb2.ReloadRequest(), timeout=PATIENCE)

    samples = scrape(running)
    assert total(samples, "spyglass_model_state", version="1", state="SERVING") == 1
    assert total(samples, "spyglass_model_state", version="2", state="FAILED") == 1
    assert total(samples, "spyglass_model_label", model="colors", label="stable") == 1
    assert total(samples, "spyglass_model_loads_total", outcome="served") == 1
    assert total(samples, "spyglass_model_loads_total", outcome="failed") == 1
    with urlopen(f"http://localhost:{running.server.metrics_port}/readyz", timeout=PATIENCE) as page:
        text = page.read().decode()
    assert text == "ok\nrefused CARD_INVALID: colors/2: the card in the file is of colors/1\n"


def test_without_a_port_nothing_is_counted(server: Any) -> None:
    assert server.server.metrics_port == 0
    log, totals = server.server._observing.observers._observers
    assert isinstance(log, RequestLog) and isinstance(totals, TotalsOfModels)


def test_a_refused_stream_is_counted_by_its_reason(
    run_server: Callable[..., Any], color_image: Callable[..., bytes]
) -> None:
    running = run_server(metrics_port=0, max_streams=1)
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    ends = Event()

    def slowly() -> Iterator[ClassifyRequest]:
        yield request
        ends.wait(PATIENCE)

    held = running.vision.ClassifyStream(slowly(), timeout=PATIENCE)
    next(held)
    with pytest.raises(grpc.RpcError):
        list(running.vision.ClassifyStream(iter([request]), timeout=PATIENCE))
    ends.set()
    list(held)

    samples = scrape(running)
    assert total(samples, "spyglass_refused_total", reason="TOO_MANY_STREAMS") == 1
    assert total(samples, "spyglass_streams_total", code="RESOURCE_EXHAUSTED") == 1
    assert total(samples, "spyglass_requests_total", code="RESOURCE_EXHAUSTED") == 0


def ended(code: str, reason: str = "", kind: Any = "request") -> Observation:
    observation = Observation("/spyglass.v1.Vision/Classify", kind=kind)
    observation.code, observation.reason, observation.ended = code, reason, observation.started + 0.02
    return observation


def test_the_number_of_reasons_is_bounded() -> None:
    metrics = RequestMetrics()
    for number in range(1000):
        metrics(ended("UNAVAILABLE", f"REASON_{number}"))
    refused = [
        sample for family in metrics.collect() for sample in family.samples if "refused" in sample.name
    ]
    assert len(refused) == 65 and sum(sample.value for sample in refused) == 1000


def test_no_request_is_lost_with_many_threads() -> None:
    metrics = RequestMetrics()

    def count() -> None:
        for _ in range(2000):
            metrics(ended("OK"))
            metrics(ended("CANCELLED", kind="stream"))

    threads = [Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        list(metrics.collect())
    for thread in threads:
        thread.join()
    found = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }
    assert found["spyglass_requests_total", None] == 16_000
    assert found["spyglass_streams_total", None] == found["spyglass_dropped_total", None] == 16_000
    duration = "spyglass_request_duration_seconds"
    assert found[f"{duration}_count", None] == found[f"{duration}_bucket", "0.025"] == 16_000
    assert found[f"{duration}_bucket", "0.01"] == 0
    assert found[f"{duration}_sum", None] == pytest.approx(320)
