"""Compare images per second on a GPU: Spyglass' session against a plain loop of ONNX Runtime.

Both run the same file on the same GPU, with the same number of threads that wait for it. The plain loop
calls `session.run` with numpy arrays; Spyglass binds pinned buffers and pads batches to powers of two. Each
round measures both in turn, for every batch size; a figure is the median over the rounds. With `--device cpu`
the script tries itself on a machine without a GPU.

    python benchmarks/gpu_throughput.py [--device cuda] [--provider auto] [--model imagenet] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import ModelError
from spyglass_contract.images.input_spec import channels
from spyglass_contract.model.card import CLASS_INDEX, PROBABILITIES
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.model_files import model_files
from spyglass_server.engine.models.providers.cuda import cuda_entries, load_libraries
from spyglass_server.engine.models.providers.onnx_sessions import CPU, open_session, session_options
from spyglass_server.engine.models.providers.placement import cuda_ids
from spyglass_server.engine.models.session import Session

# 12 and 48 show what the padding costs.
_BATCHES = [1, 2, 4, 8, 12, 16, 32, 48, 64]

Run = Callable[[NDArray[np.uint8]], Any]


def main() -> int:
    """Print a row of Markdown for each batch size, and write JSON if asked."""
    options = _parse()
    path = next(file for file in model_files(options.models) if file.parent.parent.name == options.model)
    try:
        session = Session(
            path, device=options.device, provider=options.provider, max_batch=max(options.batches)
        )
    except ModelError as error:
        print(error.message)
        return 1
    versions = _versions(options)
    print("; ".join(f"{name} {value}" for name, value in versions.items()))
    runs = {"plain": _plain(path, session, options), "spyglass": session.run}
    print(f"\n{options.model} on {session.provider}, {options.threads} threads\n")
    print("| batch | plain, images/s | Spyglass, images/s | ratio |")
    print("|---|---|---|---|")
    rows = [_row(batch, runs, session, options) for batch in options.batches]
    if options.json:
        options.json.write_text(json.dumps({"versions": versions, "rows": rows}, indent=2) + "\n")
    return 0


def _row(batch: int, runs: dict[str, Run], session: Session, options: argparse.Namespace) -> dict[str, float]:
    spec = session.card.input
    shape = (batch, spec.height, spec.width, channels(spec))
    pixels = np.random.RandomState(batch).randint(0, 256, shape, dtype=np.uint8)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(options.rounds + 1):
        for name, run in runs.items():
            rate = _images_per_second(run, pixels, options)
            # The first round warms up kernels and buffers.
            if number:
                rates[name].append(rate)
    plain, ours = (statistics.median(rates[name]) for name in ("plain", "spyglass"))
    print(f"| {batch} | {plain:,.0f} | {ours:,.0f} | {ours / plain:.2f} |", flush=True)
    return {"batch": batch, "plain": plain, "spyglass": ours, "ratio": ours / plain}


def _images_per_second(run: Run, pixels: NDArray[np.uint8], options: argparse.Namespace) -> float:
    def loop(_: int) -> int:
        runs = 0
        while time.perf_counter() < ends:
            run(pixels)
            runs += 1
        return runs

    with ThreadPoolExecutor(options.threads) as threads:
        started = time.perf_counter()
        ends = started + options.seconds
        total = sum(threads.map(loop, range(options.threads)))
        return total * len(pixels) / (time.perf_counter() - started)


def _plain(path: Path, session: Session, options: argparse.Namespace) -> Run:
    """Return a run of ONNX Runtime as its documentation shows it, on the first GPU."""
    ids = cuda_ids(options.device)
    if ids:
        load_libraries()
    entries = cuda_entries(0, ids[0]) if ids else [CPU]
    plain = open_session(path, session_options(1), entries)
    feed = {CLASS_INDEX: np.empty(0, np.int64)} if session.card.explained_layer else {}
    tensor = session.card.input.tensor
    return lambda pixels: plain.run([PROBABILITIES], {tensor: pixels, **feed})


def _versions(options: argparse.Namespace) -> dict[str, str]:
    found = {"Python": platform.python_version(), "ONNX Runtime": str(onnxruntime.__version__)}
    if cuda_ids(options.device) and shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        found["GPU and driver"] = subprocess.check_output(query, text=True).strip()
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=bundled_models(), help="folder with the models")
    parser.add_argument("--model", default="imagenet", help="name of the model")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try the script")
    parser.add_argument("--provider", default="auto", help="auto, cuda or tensorrt")
    parser.add_argument("--batches", type=int, nargs="+", default=_BATCHES, help="batch sizes")
    parser.add_argument("--threads", type=int, default=2, help="threads that run batches at the same time")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each batch size")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each measurement")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
