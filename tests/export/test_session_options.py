"""The options of the export's sessions."""

from __future__ import annotations

import pytest

pytest.importorskip("onnxruntime")

import onnxruntime

from spyglass_export.session_options import session_options


def test_threads_do_not_spin_between_runs() -> None:
    assert session_options().get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("name", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"])
def test_the_graph_is_optimised_to_the_given_level(name: str) -> None:
    level = getattr(onnxruntime.GraphOptimizationLevel, name)
    assert session_options(level).graph_optimization_level == level
