"""Traces that cannot be sent: by a missing extra, an invalid setting, or a collector that is gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image as Pillow

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass_contract.errors import InvalidInput
from spyglass_server.observing.open_tracing import TracingError, open_tracing
from spyglass_server.settings import load_settings


def test_without_an_endpoint_nothing_is_traced() -> None:
    assert open_tracing("", 1.0) is None


def test_the_switch_of_the_library_turns_traces_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert open_tracing("http://localhost:4317", 1.0) is None


def test_a_missing_extra_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("spyglass_server.observing.tracing")]:
        monkeypatch.delitem(sys.modules, name)
    # The last one also if another test has imported it.
    for name in ("opentelemetry", "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TracingError, match="install Spyglass with the extra tracing"):
        open_tracing("http://localhost:4317", 1.0)


def test_an_invalid_variable_is_an_error_that_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    with pytest.raises(TracingError, match=r"soon.*check the variables OTEL_"):
        open_tracing("http://localhost:4317", 1.0)


@pytest.mark.parametrize("endpoint", ["localhost:4317", "http://", "ftp://a:1", "http://a:1/v1/traces"])
def test_an_endpoint_without_a_scheme_or_with_a_path_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidInput, match=r"must be a URL such as http://HOST:4317"):
        load_settings(["--tracing-endpoint", endpoint])


@pytest.mark.slow
def test_a_collector_that_is_gone_disturbs_no_request_and_not_the_end(
    run_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    # Port 1 is closed.
    server = run_server(tracing_endpoint="http://127.0.0.1:1", tracing_sample=1.0)
    file = BytesIO()
    Pillow.new("RGB", (20, 12)).save(file, "PNG")
    for _ in range(50):
        server.vision.Classify(ClassifyRequest(image=Image(encoded=file.getvalue())))

    before = time.monotonic()
    server.server.stop(grace=1)
    assert time.monotonic() - before < 4
    lines = [record.getMessage() for record in caplog.records if "traces get lost" in record.getMessage()]
    assert len(lines) == 1
