"""The page of the metrics names each of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

# Those of a server with TLS, and of several worker processes.
OTHERS = {
    "spyglass_certificate_left_seconds",
    "spyglass_workers",
    "spyglass_workers_serving",
    "spyglass_workers_replaced_total",
}


def test_the_page_lists_every_metric(
    run_server: Callable[..., Any], repository_root: Path, tmp_path: Path
) -> None:
    page = (repository_root / "docs/metrics.md").read_text()
    documented = set(re.findall(r"`(spyglass_[a-z_]+)`", page)) - OTHERS
    running = run_server(
        metrics_port=0, statistics=True, capture_folder=tmp_path, response_cache_bytes=1024 * 1024
    )
    with urlopen(f"http://localhost:{running.server.metrics_port}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))

    kinds = {"counter": "_total"}
    shown = {
        family.name.removesuffix("_total") + kinds.get(family.type, "")
        for family in families
        if family.name.startswith("spyglass_")
    }
    assert shown == documented
