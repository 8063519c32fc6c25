"""Exports of networks by both of torch's exporters, kept in a folder."""

from __future__ import annotations

import contextlib
import io
import json
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
import torch
from torch import nn

from spyglass_contract.onnx_runtime import onnxruntime
from zoo.architectures import Architecture
from zoo.images import images
from zoo.networks import fed, network_of

Exporter = Literal["legacy", "dynamo"]
EXPORTERS: tuple[Exporter, ...] = get_args(Exporter)
Batch = Literal["dynamic", "one"]
_BATCHES: tuple[Batch, ...] = get_args(Batch)


@dataclass(frozen=True)
class Export:
    """How an export went.

    `batch` is `dynamic`, or `one` if the exporter writes no file with a free batch. `error` is empty if ONNX
    Runtime runs the file on one image and returns what torch does, to `difference`.
    """

    key: str
    exporter: Exporter
    seconds: float = 0.0
    batch: Batch = "dynamic"
    difference: float = 0.0
    error: str = ""


def folder_of(cache: Path, key: str) -> Path:
    """Return the folder of an architecture."""
    return cache / key


def export_all(architecture: Architecture, cache: Path) -> None:
    """Export an architecture as far as its files are missing: weights, and a file and a record each."""
    folder = folder_of(cache, architecture.key)
    missing = [each for each in EXPORTERS if not record_path(folder, each).exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    model, side = kept_network(architecture, cache)
    for exporter in missing:
        record = _export(architecture, model, side, exporter, folder)
        record_path(folder, exporter).write_text(json.dumps(asdict(record)))


def kept_network(architecture: Architecture, cache: Path) -> tuple[nn.Module, int]:
    """Return the network with the weights of the cache, and keep them there the first time."""
    model, side = network_of(architecture)
    weights = folder_of(cache, architecture.key) / "weights.pt"
    if weights.exists():
        model.load_state_dict(torch.load(weights, weights_only=True))
    else:
        torch.save(model.state_dict(), weights)
    return model, side


def record_path(folder: Path, exporter: Exporter) -> Path:
    """Return the path of the record of an export."""
    return folder / f"{exporter}.json"


def file_path(folder: Path, exporter: Exporter) -> Path:
    """Return the path of an exported file."""
    return folder / f"{exporter}.onnx"


def read_record(cache: Path, key: str, exporter: Exporter) -> Export:
    """Return the record of an export that was made."""
    return Export(**json.loads(record_path(folder_of(cache, key), exporter).read_text()))


def _export(
    architecture: Architecture, model: nn.Module, side: int, exporter: Exporter, folder: Path
) -> Export:
    path, started, error = file_path(folder, exporter), time.monotonic(), ""
    for batch in _BATCHES:
        try:
            _write_somehow(model, side, exporter, path, dynamic=batch == "dynamic")
            difference = _difference(model, side, path)
        # What an exporter or ONNX Runtime raises has no common class.
        except Exception as failure:
            error = error or f"{type(failure).__name__}: {str(failure)[:500]}"
            continue
        seconds = round(time.monotonic() - started, 1)
        return Export(architecture.key, exporter, seconds, batch, difference)
    path.unlink(missing_ok=True)
    return Export(architecture.key, exporter, round(time.monotonic() - started, 1), "one", 0.0, error)


def _write_somehow(model: nn.Module, side: int, exporter: Exporter, path: Path, *, dynamic: bool) -> None:
    """Export a network; if that fails, with timm's attention in single operators, as timm advises."""
    fused: list[Any] = [module for module in model.modules() if getattr(module, "fused_attn", False)]
    try:
        _write(model, side, exporter, path, dynamic=dynamic)
    except Exception:
        if not fused:
            raise
        for module in fused:
            module.fused_attn = False
        try:
            _write(model, side, exporter, path, dynamic=dynamic)
        finally:
            for module in fused:
                module.fused_attn = True


def _write(model: nn.Module, side: int, exporter: Exporter, path: Path, *, dynamic: bool) -> None:
    example = torch.zeros(2 if dynamic else 1, 3, side, side)
    names: dict[str, Any] = {"input_names": ["input"], "output_names": ["output"]}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if exporter == "legacy":
            axes = {"input": {0: "batch"}, "output": {0: "batch"}} if dynamic else None
            torch.onnx.export(model, (example,), str(path), dynamo=False, dynamic_axes=axes, **names)
        else:
            shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
            torch.onnx.export(
                model,
                (example,),
                str(path),
                dynamo=True,
                dynamic_shapes=shapes,
                external_data=False,
                verbose=False,
                **names,
            )


def _difference(model: nn.Module, side: int, path: Path) -> float:
    onnx.load(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    image = fed(images(1, side, seed=0))
    with torch.no_grad():
        expected = model(image).numpy()
    found = session.run(None, {"input": image.numpy()})[0]
    return float(np.abs(found - expected).max() / max(1e-12, float(np.abs(expected).max())))
