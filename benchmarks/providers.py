"""Measure what one image costs at each execution provider that this machine has, with one thread.

Each round runs every provider in turn. A figure is the median over the rounds of the processor time of the
whole process per run, so that work on other threads counts. The difference is the largest one of any
probability from ONNX Runtime's own provider, over the golden tensors of the model.

    python benchmarks/providers.py [--models DIR] [--rounds 11] [--seconds 0.3]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from measuring.run_count import count_runs
from spyglass_contract.model.certificate import golden_tensor
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.capacity.processor_flags import processor_flags
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.model_files import model_files
from spyglass_server.engine.models.providers.placement import DeviceError
from spyglass_server.engine.models.session import Session

_CHOICES: tuple[tuple[str, ComputePrecision], ...] = (
    ("cpu", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
)
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def main() -> int:
    """Print a row of Markdown for each model and provider."""
    options = _parse()
    flags = [flag for flag in _FLAGS if flag in processor_flags()]
    print(f"ONNX Runtime {onnxruntime.__version__}; flags: {', '.join(flags)}\n")
    print("| model | provider | precision | ms per image (least to most) | ratio | largest difference |")
    print("|---|---|---|---|---|---|")
    for path in model_files(options.models):
        _compare(path, options)
    return 0


def _compare(path: Path, options: argparse.Namespace) -> None:
    sessions = {choice: session for choice in _CHOICES if (session := _open(path, *choice))}
    first = next(iter(sessions.values()))
    tensors = [golden_tensor(golden.seed, first.card.input) for golden in first.card.certificate.tensors]
    costs = _interleaved([session.run for session in sessions.values()], tensors[0], options)
    exact = [first.run(tensor) for tensor in tensors]
    for (provider, precision), session, times in zip(sessions, sessions.values(), costs, strict=True):
        outputs = [session.run(tensor) for tensor in tensors]
        difference = max(float(np.abs(a - b).max()) for a, b in zip(outputs, exact, strict=True))
        median = statistics.median(times)
        print(
            f"| `{first.card.name}` | {provider} | {precision} | {median:.3f} ({min(times):.3f} to "
            f"{max(times):.3f}) | {median / statistics.median(costs[0]):.2f} | {difference:.1e} |"
        )


def _open(path: Path, provider: str, precision: ComputePrecision) -> Session | None:
    try:
        return Session(path, device="cpu", provider=provider, precision=precision)
    except DeviceError as error:
        print(f"<!-- {error.message} -->")
        return None


def _interleaved(
    runs: list[Run], pixels: NDArray[np.uint8], options: argparse.Namespace
) -> list[list[float]]:
    """Return the milliseconds of processor time per run, for each run a list with one value a round."""
    counts = [count_runs(run, pixels, options.seconds) for run in runs]
    costs: list[list[float]] = [[] for _ in runs]
    for _ in range(options.rounds):
        for run, count, times in zip(runs, counts, costs, strict=True):
            run(pixels)
            started = time.process_time()
            for _ in range(count):
                run(pixels)
            times.append((time.process_time() - started) / count * 1e3)
    return costs


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=bundled_models(), help="folder with the models")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of each provider")
    parser.add_argument("--seconds", type=float, default=0.3, help="seconds of each provider in a round")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
