"""Measure ways of making one `session.run` of ONNX Runtime cheaper, with one thread and one image.

Each round runs every way in turn; a figure is the median over the rounds of the processor time per run.
"classes only" is the file with an empty list of classes as default, so that the heatmap never runs; "fixed
batch" has a batch of 1 in the graph.

    python benchmarks/session_run.py [--models DIR] [--rounds 11] [--seconds 0.3]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measuring.run_count import count_runs
from spyglass_contract.model.card import CLASS_INDEX, PROBABILITIES
from spyglass_contract.model.certificate import golden_tensor
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.model_files import model_files
from spyglass_server.engine.models.providers.cpu import classes_run
from spyglass_server.engine.models.providers.graph import Graph, read_graph
from spyglass_server.engine.models.providers.io_binding import BoundRuns
from spyglass_server.engine.models.providers.onnx_sessions import CPU, open_session, session_options

Run = Callable[[NDArray[np.uint8]], Any]

_NO_CLASS = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty(0, np.int64))


def main() -> int:
    """Print a row of Markdown for each way, a column for each model."""
    options = _parse()
    columns = [_measure(path, options) for path in model_files(options.models)]
    print("| way | " + " | ".join(f"`{name}`" for name, _ in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for way in columns[0][1]:
        cells = [f"{found[way]:.3f} ({found[way] / found['plain']:.3f})" for _, found in columns]
        print(f"| {way} | " + " | ".join(cells) + " |")
    return 0


def _measure(path: Path, options: argparse.Namespace) -> tuple[str, dict[str, float]]:
    """Return the model's name, and the milliseconds of each way."""
    graph = read_graph(path)
    pixels = golden_tensor(0, graph.card.input)
    ways = _ways(path, graph)
    counts = {way: count_runs(run, pixels, options.seconds) for way, run in ways.items()}
    costs: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, run in ways.items():
            run(pixels)
            started = time.process_time()
            for _ in range(counts[way]):
                run(pixels)
            costs[way].append((time.process_time() - started) / counts[way] * 1e3)
    return graph.card.name, {way: statistics.median(times) for way, times in costs.items()}


def _ways(path: Path, graph: Graph) -> dict[str, Run]:
    def opened(classes_only: bool = False, fixed: bool = False, **fields: Any) -> Any:
        options = session_options(1)
        for name, value in fields.items():
            setattr(options, name, value)
        if classes_only and graph.explains:
            options.add_initializer(CLASS_INDEX, _NO_CLASS)
        if fixed:
            options.add_free_dimension_override_by_name("batch", 1)
        return open_session(path, options, [CPU])

    tensor = graph.card.input.tensor
    plain, bare = opened(), opened(classes_only=True)
    levels = onnxruntime.GraphOptimizationLevel
    return {
        "plain": classes_run(plain, graph),
        "plain, again": classes_run(plain, graph),
        "classes only": lambda pixels: bare.run([PROBABILITIES], {tensor: pixels}),
        "fixed batch": classes_run(opened(fixed=True), graph),
        "classes only, bound and kept buffers": BoundRuns(bare, tensor, "cpu", 0, None).run,
        "classes only, OrtValues": lambda pixels: bare.run_with_ort_values(
            [PROBABILITIES], {tensor: onnxruntime.OrtValue.ortvalue_from_numpy(pixels)}
        )[0].numpy(),
        "no memory pattern": classes_run(opened(enable_mem_pattern=False), graph),
        "no arena": classes_run(opened(enable_cpu_mem_arena=False), graph),
        "fewer optimisations (extended)": classes_run(
            opened(graph_optimization_level=levels.ORT_ENABLE_EXTENDED), graph
        ),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=bundled_models(), help="folder with the models")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of each way")
    parser.add_argument("--seconds", type=float, default=0.3, help="seconds of each way in a round")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
