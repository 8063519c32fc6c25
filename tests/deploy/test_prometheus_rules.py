"""The configuration of Prometheus is valid, and each alert fires when it should."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from scraped import need
from spyglass_client import Client
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings


@pytest.fixture
def rules(repository_root: Path) -> Path:
    return repository_root / "deploy/prometheus"


@pytest.fixture
def alerts(rules: Path) -> set[str]:
    (group,) = yaml.safe_load((rules / "alerts.yml").read_text())["groups"]
    return {rule["alert"] for rule in group["rules"]}


def promtool(folder: Path, *arguments: str, text: str | None = None) -> None:
    need("promtool")
    done = subprocess.run(
        ["promtool", *arguments], cwd=folder, input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # `check metrics` returns 0 for some faults of style.
    assert text is None or not done.stdout + done.stderr


def test_the_configuration_is_valid(rules: Path) -> None:
    promtool(rules, "check", "config", "prometheus.yml")


@pytest.mark.slow
def test_the_alerts_fire_when_they_should(rules: Path) -> None:
    promtool(rules, "test", "rules", "rules_test.yml")


def test_each_alert_has_a_test(rules: Path, alerts: set[str]) -> None:
    tests = yaml.safe_load((rules / "rules_test.yml").read_text())["tests"]
    fired = {
        case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]
    }
    assert fired == alerts


def test_the_page_explains_each_alert(repository_root: Path, alerts: set[str]) -> None:
    page = (repository_root / "docs/alerts.md").read_text()
    assert set(re.findall(r"^## (Spyglass\w+)$", page, re.MULTILINE)) == alerts


def test_the_metrics_follow_the_rules_of_prometheus(tiny_models: Path, rules: Path, chelsea: bytes) -> None:
    server = Server(
        ServerSettings(models=[tiny_models], port=0, metrics_port=0, profile_seconds=0, statistics=True)
    )
    try:
        server.start()
        with Client(f"localhost:{server.port}") as client:
            client.classify(chelsea)
            list(client.classify_many([chelsea, b"no image"]))
        with urlopen(f"http://localhost:{server.metrics_port}/metrics", timeout=30) as response:
            text = response.read().decode()
    finally:
        server.stop(grace=0)
    assert "spyglass_stage_duration_seconds_count{" in text
    promtool(rules, "check", "metrics", text=text)
