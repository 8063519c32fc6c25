"""What a heatmap and an adoption cost, for model files and for ONNX classifiers from elsewhere.

For each model file it compares: the classes from the same graph without its heatmap; the classes and no
heatmap; the classes and the heatmap of the predicted class. For each ONNX classifier it adopts the file with
the preprocessing of torchvision, and compares two rows more: the file itself, and the file after the same
preprocessing in numpy, which the adopted file saves its user.

Every round runs each variant once, in one process and on one thread, so that a busy machine affects all of
them. One run of a variant repeats calls for at least 2 ms. The figures are milliseconds for one image:
processor time and wall time, the minimum and the median of the rounds. Lines with "=" hold ratios: that of
the minima, and the median of the ratios in each round.

    python benchmarks/heatmap_cost.py [--rounds 40] [--threads 1] [FILE.onnx …]

Without files it measures the bundled classifiers.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from spyglass_contract.errors import SpyglassError
from spyglass_contract.model.card import CLASS_INDEX, HEATMAP, PROBABILITIES, read_card
from spyglass_contract.model.certificate import golden_tensor
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.adopting.adopt import adopt
from spyglass_export.adopting.golden_images import made_images
from spyglass_export.adopting.onnx_file import open_model
from spyglass_export.adopting.preprocessing import Preprocessing, preprocess
from spyglass_export.draft import draft_adopted

BUNDLED = Path(__file__).parent.parent / "models"
IMAGENET = Preprocessing(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
WITHOUT, NONE, WITH, AFTER_NUMPY = (
    "without a heatmap",
    "none requested",
    "with the heatmap",
    "file after numpy",
)
RATIOS = (
    ("= none / without", NONE, WITHOUT),
    ("= heatmap / without", WITH, WITHOUT),
    ("= none / after numpy", NONE, AFTER_NUMPY),
)
# Seconds that one run of a variant takes at least.
SHORTEST = 2e-3

Variant = Callable[[], object]


class Times(NamedTuple):
    """Milliseconds for one image."""

    processor: float
    wall: float


def main() -> None:
    """Print a table with a line for each file and variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE.onnx")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    onnxruntime.set_default_logger_severity(4)
    print(f"ONNX Runtime {onnxruntime.__version__}, {options.threads} threads, {options.rounds} rounds")
    print(f"{'':46}{'processor ms':>18}{'wall ms':>18}")
    print(f"{'network':24}{'variant':22}" + f"{'min':>9}{'median':>9}" * 2)
    for file in options.files or _bundled():
        name = file.stem if file.stem != "model" else file.parent.parent.name
        try:
            calls = variants(file, options.threads)
        except SpyglassError as error:
            print(f"{name:24}not adopted: {error}")
            continue
        _print_times(name, measure(calls, options.rounds))


def _bundled() -> list[Path]:
    """The bundled model files with a heatmap."""
    return [
        file
        for file in sorted(BUNDLED.glob("*/*/model.onnx"))
        if any(output.name == HEATMAP for output in onnx.load(file).graph.output)
    ]


def variants(file: Path, threads: int) -> Mapping[str, Variant]:
    """Return the variants of a file to compare, each a call for the same image."""
    model = onnx.load(file)
    if any(output.name == HEATMAP for output in model.graph.output):
        return _served(model, threads)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "network" / "1" / "model.onnx"
        channels, height, width = _sizes(model)
        classes = _classes(file)
        names = [f"class {index}" for index in range(classes)]
        card = draft_adopted(file, target.parent, class_names=names, size=(height, width))
        given = IMAGENET if channels == 3 else Preprocessing(1 / 255)
        adopt(open_model(file), card, given, made_images(), target)
        served = _served(onnx.load(target), threads)
    session = _session(file.read_bytes(), threads)
    (source,) = session.get_inputs()
    pixels = golden_tensor(0, card.input)
    first = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == channels

    def prepared() -> NDArray[Any]:
        return preprocess(pixels, given, channels_first=first, element=TensorProto.FLOAT)

    image = prepared()
    return {
        AFTER_NUMPY: lambda: session.run(None, {source.name: prepared()}),
        "file": lambda: session.run(None, {source.name: image}),
        **served,
    }


def _served(model: onnx.ModelProto, threads: int) -> dict[str, Variant]:
    explaining = _session(model.SerializeToString(), threads)
    plain = _session(without_heatmap(model).SerializeToString(), threads)
    pixels = golden_tensor(0, read_card(explaining).input)
    nothing = np.empty(0, np.int64)
    feeds = {plain.get_inputs()[0].name: pixels}
    return {
        WITHOUT: lambda: plain.run([PROBABILITIES], feeds),
        NONE: lambda: explaining.run([PROBABILITIES], {**feeds, CLASS_INDEX: nothing}),
        WITH: lambda: explaining.run(None, feeds),
    }


def without_heatmap(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model file that computes the classes only."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    lists: tuple[Any, ...] = (graph.input, graph.output, graph.initializer)
    for values in lists:
        kept = [value for value in values if value.name not in (HEATMAP, CLASS_INDEX)]
        del values[:]
        values.extend(kept)
    read = {output.name for output in graph.output}
    needed = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            read.update(node.input)
            needed.append(node)
    del graph.node[:]
    graph.node.extend(reversed(needed))
    return copy


def _sizes(model: onnx.ModelProto) -> tuple[int, int, int]:
    """Channels, height and width of a network's input; 3, 224 and 224 if the file does not state them."""
    sizes = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    if sizes[0] not in (1, 3):
        sizes = [sizes[2], *sizes[:2]]
    return sizes[0] or 3, sizes[1] or 224, sizes[2] or 224


def _classes(file: Path) -> int:
    """The number of classes, from a run of the network."""
    session = _session(file.read_bytes(), 1)
    (source,) = session.get_inputs()
    channels, height, width = _sizes(onnx.load(file))
    last = source.shape[1] not in (1, 3)
    shape = (1, height, width, channels) if last else (1, channels, height, width)
    return int(session.run(None, {source.name: np.zeros(shape, np.float32)})[0].size)


def _session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def measure(calls: Mapping[str, Variant], rounds: int) -> dict[str, list[Times]]:
    """Return the times of each call in every round. Each round begins with another call."""
    repeats = {variant: _repeats(call) for variant, call in calls.items()}
    spent: dict[str, list[Times]] = {variant: [] for variant in calls}
    turns = list(calls.items())
    for _ in range(rounds):
        turns.append(turns.pop(0))
        for variant, call in turns:
            spent[variant].append(_run(call, repeats[variant]))
    return spent


def _repeats(call: Variant) -> int:
    """Number of calls in one run, after a warm-up."""
    _run(call, 3)
    return max(1, round(1e3 * SHORTEST / _run(call, 3).wall))


def _run(call: Variant, repeats: int) -> Times:
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        call()
    return Times(
        1e3 * (time.process_time() - processor) / repeats, 1e3 * (time.perf_counter() - wall) / repeats
    )


def _print_times(name: str, spent: Mapping[str, list[Times]]) -> None:
    for variant, times in spent.items():
        cells = [f"{number:9.3f}" for number in _figures(times)]
        print(f"{name:24}{variant:22}{''.join(cells)}")
    for what, variant, reference in RATIOS:
        if reference in spent:
            ratios = _ratios(spent[variant], spent[reference])
            print(f"{name:24}{what:22}" + "".join(f"{number:9.3f}" for number in ratios), flush=True)


def _ratios(times: list[Times], references: list[Times]) -> list[float]:
    """Ratio of the minima, and median of the ratios in each round; of processor time, then of wall time."""
    found = []
    for kind, others in zip(zip(*times, strict=True), zip(*references, strict=True), strict=True):
        pairs = [one / other for one, other in zip(kind, others, strict=True)]
        found += [min(kind) / min(others), statistics.median(pairs)]
    return found


def _figures(times: list[Times]) -> list[float]:
    """Minimum and median of the processor time, then of the wall time."""
    return [figure(kind) for kind in zip(*times, strict=True) for figure in (min, statistics.median)]


if __name__ == "__main__":
    main()
