"""Model files for graphs that tests build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.card import write_card


def write_model(root: Path, card: ModelCard, graph: Any) -> Path:
    """Write an ONNX graph with `card` to NAME/VERSION/model.onnx below `root`. Return the path."""
    onnx = pytest.importorskip("onnx")
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
    write_card(model, card)
    path = root / card.name / str(card.version) / "model.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(model, str(path))
    return path
