"""The dashboard is valid, and each of its queries finds something in a real Prometheus."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scraped import Prometheus, ScrapedServer, need


@pytest.fixture(scope="module")
def dashboard(repository_root: Path) -> dict[str, Any]:
    return dict(json.loads((repository_root / "deploy/grafana/dashboards/spyglass.json").read_text()))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_no_panel_covers_another_one(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert len({panel["title"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_panel_reads_the_chosen_source(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "job", "instance", "model"}
    for panel in panels(dashboard):
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert "$job" in target["expr"] and "$instance" in target["expr"]


def test_grafana_finds_the_source_and_the_dashboards(repository_root: Path) -> None:
    folder = repository_root / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/spyglass.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://localhost:9090")
    assert provider["type"] == "file" and provider["options"]["path"]


@pytest.fixture(scope="module")
def prometheus(
    repository_root: Path,
    tiny_models: Path,
    encode: Callable[..., bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """A Prometheus that has seen all kinds of requests to a server."""
    need("prometheus")
    pytest.importorskip("onnx", reason="needs the export extra, for the baseline")
    folder = tmp_path_factory.mktemp("scraped")
    shutil.copytree(tiny_models, folder / "models")
    (file,) = (folder / "models").glob("*/*/model.onnx")
    server = ScrapedServer(folder, file, encode)
    found = Prometheus(folder, repository_root / "deploy/prometheus", f"localhost:{server.metrics_port}")
    try:
        found.wait_for(lambda: found.get("query", query="spyglass_dropped_total offset 2s")["result"])
        found.wait_for(lambda: found.get("query", query="spyglass_refused_total offset 2s")["result"])
        found.wait_for(lambda: found.get("query", query="spyglass_model_drift offset 2s")["result"])
        yield found
    finally:
        found.end()
        server.end()


@pytest.mark.slow
def test_every_query_of_the_dashboard_finds_something(
    prometheus: Prometheus, dashboard: dict[str, Any]
) -> None:
    values = {"$__rate_interval": "10s", "$job": "spyglass", "$instance": ".*", "$model": ".*"}
    empty = []
    for panel in panels(dashboard):
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in values.items():
                query = query.replace(name, value)
            assert "$" not in query
            result = prometheus.get("query", query=query)["result"]
            if not result or any(sample["value"][1] == "NaN" for sample in result):
                empty.append((panel["title"], query, result))
    assert not empty


@pytest.mark.slow
def test_every_variable_of_the_dashboard_has_values(prometheus: Prometheus) -> None:
    for label in ("job", "instance", "model"):
        assert prometheus.get(f"label/{label}/values")


@pytest.mark.slow
def test_prometheus_accepts_every_rule_and_every_scrape(prometheus: Prometheus) -> None:
    groups = prometheus.get("rules")["groups"]
    assert [rule["lastError"] for group in groups for rule in group["rules"] if "lastError" in rule] == []
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


@pytest.mark.slow
def test_the_only_alert_is_of_what_the_test_does(prometheus: Prometheus) -> None:
    names = {alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"]}
    # The test sends images of one colour, refuses streams, and has a certificate of its own.
    assert names <= {"SpyglassModelDrifts", "SpyglassRefuses"}
