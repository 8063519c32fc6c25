"""Cost of a heatmap: a forward pass with it, one without it, and TensorFlow's GradientTape for the same map.

Every round runs each variant once, in one process and on one thread, so that a busy machine affects all of
them. The figures are medians in milliseconds for one image: wall time and processor time. The networks are
untrained, which costs as much as trained weights.

    python benchmarks/heatmap.py [--rounds 30] [--models imagenet mini-xception vgg16 xception]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import onnx
import tensorflow
import tf2onnx
from numpy.typing import NDArray

from spyglass_contract.model.card import PROBABILITIES
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.gradcam import attach_gradcam
from spyglass_training.models import efficientnet_lite0, mini_xception, vgg16, xception

OPSET = 17
# Classes explained by one pass, for networks that have as many.
SEVERAL = (5, 33)

Variant = Callable[[], object]


class Network(NamedTuple):
    """A classifier and its explained layer."""

    build: Callable[[], keras.Model]
    layer: str


class Cost(NamedTuple):
    """Milliseconds for one image."""

    wall: float
    processor: float


NETWORKS: Mapping[str, Network] = {
    "imagenet": Network(lambda: efficientnet_lite0.build(efficientnet_lite0.INPUT, 1000), "head_relu6"),
    "mini-xception": Network(lambda: mini_xception.build(mini_xception.INPUT, 2), "block5_add"),
    "vgg16": Network(lambda: vgg16.build_features(vgg16.INPUT, 2), "block5_conv3"),
    "xception": Network(lambda: xception.build(xception.INPUT, 1000), "block14_sepconv2_act"),
}


def main() -> None:
    """Print a table with a line for each network and variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--models", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options = parser.parse_args()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    print(
        f"{platform.machine()}, ONNX Runtime {onnxruntime.__version__}, TensorFlow {tensorflow.__version__}"
    )
    print(f"{'network':15}{'variant':25}{'wall ms':>9}{'CPU ms':>9}{'to forward pass':>21}{'to tape':>13}")
    for name in options.models:
        _print_costs(name, measure(variants(NETWORKS[name]), options.rounds))


def _print_costs(name: str, costs: Mapping[str, Cost]) -> None:
    forward, tape = costs["forward"].processor, costs["GradientTape"].processor
    for variant, cost in costs.items():
        print(
            f"{name:15}{variant:25}{cost.wall:9.2f}{cost.processor:9.2f}"
            f"{cost.processor / forward:20.3f}x{cost.processor / tape:12.3f}x"
        )


def variants(network: Network) -> Mapping[str, Variant]:
    """Return the variants to compare, each a call for the same image."""
    keras.utils.set_random_seed(0)
    model = network.build()
    dtype = model.inputs[0].dtype
    image = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape[1:])).astype(dtype)
    converted = convert(model)
    plain, explaining = _session(converted), _session(attach_gradcam(converted).model)
    nothing = np.empty(0, np.int64)
    as_written, compiled = gradient_tape(model, network.layer, image)
    return {
        "forward": lambda: plain.run([PROBABILITIES], {"image": image}),
        "no heatmap requested": lambda: explaining.run(None, {"image": image, "class_index": nothing}),
        "forward and heatmap": lambda: explaining.run(None, {"image": image}),
        **{
            f"forward and {count} heatmaps": partial(
                explaining.run, None, {"image": image, "class_index": np.arange(count)}
            )
            for count in SEVERAL
            if count <= model.output_shape[-1]
        },
        "GradientTape": as_written,
        "GradientTape, compiled": compiled,
    }


def convert(model: keras.Model) -> onnx.ModelProto:
    """Convert the network to ONNX, from `image` to `probabilities`."""
    image = model.inputs[0]
    signature = [tensorflow.TensorSpec(image.shape, image.dtype, name="image")]

    def infer(pixels: tensorflow.Tensor) -> dict[str, tensorflow.Tensor]:
        return {PROBABILITIES: model(pixels, training=False)}

    function = tensorflow.function(infer, autograph=False, input_signature=signature)
    converted: onnx.ModelProto
    converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    return converted


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def gradient_tape(model: keras.Model, layer: str, image: NDArray[Any]) -> tuple[Variant, Variant]:
    """Return Grad-CAM of the predicted class in TensorFlow as in the book, and a compiled version.

    F. Chollet, Deep Learning with Python, second edition (2021), section 9.4.3.
    """
    layer_output = model.get_layer(layer).output
    features = keras.Model(model.inputs[0], layer_output)
    head = keras.Model(layer_output, model.outputs[0])

    def explain(pixels: tensorflow.Tensor) -> tensorflow.Tensor:
        with tensorflow.GradientTape() as tape:
            activations = features(pixels, training=False)
            tape.watch(activations)
            score = tensorflow.reduce_max(head(activations, training=False), axis=1)
        weights = tensorflow.reduce_mean(tape.gradient(score, activations), axis=(1, 2), keepdims=True)
        heatmap = tensorflow.nn.relu(tensorflow.reduce_mean(activations * weights, axis=-1))
        return heatmap / tensorflow.maximum(tensorflow.reduce_max(heatmap), 1e-12)

    pixels, compiled = tensorflow.constant(image), tensorflow.function(explain)
    return lambda: explain(pixels).numpy(), lambda: compiled(pixels).numpy()


def measure(calls: Mapping[str, Variant], rounds: int) -> dict[str, Cost]:
    """Return the median cost of each call after three warm-up rounds. Each round begins with another call."""
    spent: dict[str, list[Cost]] = {variant: [] for variant in calls}
    turns = list(calls.items())
    for number in range(rounds + 3):
        turns.append(turns.pop(0))
        for variant, call in turns:
            cost = _once(call)
            if number >= 3:
                spent[variant].append(cost)
    return {
        variant: Cost(*map(statistics.median, zip(*costs, strict=True))) for variant, costs in spent.items()
    }


def _once(call: Variant) -> Cost:
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return Cost(1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor))


if __name__ == "__main__":
    main()
