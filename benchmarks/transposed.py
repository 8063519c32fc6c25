"""Cost of transposed convolutions and of their plain forms, in pet-segmentation and layer by layer.

Every round runs each form once, in one process and on one thread, as the server runs a model. The figures are
milliseconds of processor time for one image, minimum and median, and their ratios to the form that tf2onnx
writes. Each layer is between two convolutions of one place, from and to a few channels, because ONNX Runtime
changes the layout of feature maps before and after convolutions. Weights are random; trained ones cost the
same.

    python benchmarks/transposed.py [--rounds 30] [--skip-network]
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from spyglass.v1.model_pb2 import TASK_SEGMENT, InputSpec, ModelCard
from spyglass_contract.model.card import PROBABILITIES
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.transposed import rewrite_transposed

OPSET = 17
# Channels before and after a measured layer.
FEW = 32

Array = NDArray[Any]


class Layer(NamedTuple):
    """A 3 × 3 transposed convolution from `size` × `size` places to `stride` times as many in each axis."""

    inputs: int
    outputs: int
    size: int
    stride: int


LAYERS = (
    Layer(256, 256, 25, 1),
    Layer(256, 256, 25, 2),
    Layer(256, 128, 50, 1),
    Layer(128, 128, 50, 2),
    Layer(128, 64, 100, 1),
    Layer(64, 64, 100, 2),
)


def main() -> None:
    """Print a table with a line for each form of each layer and of the network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--skip-network", action="store_true", help="measure the layers only, without TensorFlow"
    )
    options = parser.parse_args()
    print(f"{platform.machine()}, ONNX Runtime {onnxruntime.__version__}")
    print_head()
    for layer in LAYERS:
        image = np.random.default_rng(0).normal(size=(1, FEW, layer.size, layer.size)).astype(np.float32)
        name = f"{layer.inputs} to {layer.outputs} at {layer.size}, stride {layer.stride}"
        print_times(name, measure(forms_of(layer), image, options.rounds))
    if not options.skip_network:
        pixels = np.random.default_rng(0).integers(0, 256, (1, 200, 200, 3)).astype(np.uint8)
        print_times("pet-segmentation at 200", measure(forms_of_random_network(), pixels, options.rounds))


def print_head() -> None:
    """Print the header of the lines of `print_times`."""
    print(f"{'':29}{'form':32}{'min ms':>10}{'median ms':>11}{'ratio of min':>16}{'of medians':>12}")


def print_times(name: str, times: Mapping[str, Sequence[float]]) -> None:
    """Print a line for each form, from seconds. The ratios are to the first form."""
    plain, *_ = times.values()
    for form, spent in times.items():
        least, median = 1e3 * min(spent), 1e3 * statistics.median(spent)
        print(
            f"{name:29}{form:32}{least:10.2f}{median:11.2f}{min(spent) / min(plain):15.3f}x"
            f"{statistics.median(spent) / statistics.median(plain):11.3f}x"
        )


def forms_of(layer: Layer) -> dict[str, onnx.ModelProto]:
    """Return the layer as tf2onnx writes it, as exported, and for a stride of 2 as in the literature."""
    random = np.random.default_rng(0)
    weight = random.normal(0, 0.05, (layer.inputs, layer.outputs, 3, 3)).astype(np.float32)
    pads = [1, 1, 1, 1] if layer.stride == 1 else [0, 0, 1, 1]
    strides = [layer.stride, layer.stride]
    transposed = helper.make_node("ConvTranspose", ["map", "weight"], ["sum"], strides=strides, pads=pads)
    plain = _between(layer, [transposed], {"weight": weight})
    exported = copy.deepcopy(plain)
    rewrite_transposed(exported)
    forms = {"ConvTranspose": plain, "as exported": exported}
    for mode in ("DCR", "CRD") if layer.stride == 2 else ():
        nodes = [
            helper.make_node("Conv", ["map", "weight"], ["phases"], pads=[1, 1, 0, 0]),
            helper.make_node("DepthToSpace", ["phases"], ["sum"], blocksize=2, mode=mode),
        ]
        forms[f"one Conv, DepthToSpace {mode}"] = _between(layer, nodes, {"weight": sub_pixel(weight, mode)})
    return forms


def sub_pixel(weight: Array, mode: str) -> Array:
    """Return weights [in, out, 3, 3] of stride 2 as weights of one plain convolution, [4 · out, in, 2, 2].

    W. Shi et al. 2016, Real-Time Single Image and Video Super-Resolution. 7 of 16 weights are zero.
    """
    inputs, outputs = weight.shape[:2]
    phases = np.zeros((2, 2, outputs, inputs, 2, 2), np.float32)
    for row in range(3):
        for column in range(3):
            place = phases[row % 2, column % 2, :, :, 1 - row // 2, 1 - column // 2]
            place[:] = weight[:, :, row, column].T
    stacked = phases if mode == "DCR" else phases.transpose(2, 0, 1, 3, 4, 5)
    return stacked.reshape(4 * outputs, inputs, 2, 2)


def _between(layer: Layer, nodes: Sequence[onnx.NodeProto], weights: Mapping[str, Array]) -> onnx.ModelProto:
    random = np.random.default_rng(1)
    before = random.normal(0, 0.1, (layer.inputs, FEW, 1, 1)).astype(np.float32)
    after = random.normal(0, 0.1, (FEW, layer.outputs, 1, 1)).astype(np.float32)
    ends = [FEW, layer.size, layer.size], [FEW, layer.size * layer.stride, layer.size * layer.stride]
    image, output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name, shape in zip(("image", PROBABILITIES), ends, strict=True)
    )
    chain = [
        helper.make_node("Conv", ["image", "before"], ["map"]),
        *nodes,
        helper.make_node("Relu", ["sum"], ["active"]),
        helper.make_node("Conv", ["active", "after"], [PROBABILITIES]),
    ]
    held = {"before": before, "after": after, **weights}
    tensors = [numpy_helper.from_array(value, name) for name, value in held.items()]
    graph = helper.make_graph(chain, "layer", [image], [output], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def forms_of_random_network() -> dict[str, onnx.ModelProto]:
    """Return `forms_of_network` of an untrained network, and a form with classes instead of probabilities."""
    import keras

    from spyglass_training.models import pet_segmentation

    keras.utils.set_random_seed(0)
    forms = forms_of_network(pet_segmentation.build(pet_segmentation.INPUT, 3), pet_segmentation.INPUT)
    return {**forms, "and ArgMax": with_classes(forms["as exported"])}


def forms_of_network(network: Any, spec: InputSpec) -> dict[str, onnx.ModelProto]:
    """Return a Keras network of three classes as tf2onnx writes it, and as exported."""
    from spyglass_export.converting.convert import convert
    from spyglass_export.converting.tidy import tidy

    card = ModelCard(name="foreground", task=TASK_SEGMENT, class_names=["a", "b", "c"], input=spec)
    plain = convert(network, card)
    tidy(plain, card)
    exported = copy.deepcopy(plain)
    rewrite_transposed(exported)
    return {"as tf2onnx writes it": plain, "as exported": exported}


def with_classes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that outputs the best class of each pixel, uint8 [batch, height, width], not softmax."""
    copied = copy.deepcopy(model)
    graph = copied.graph
    softmax, transpose = graph.node[-2:]
    del graph.node[-2:], graph.output[:]
    graph.node.extend(
        [
            helper.make_node("ArgMax", [softmax.input[0]], ["class"], axis=1, keepdims=0),
            helper.make_node("Cast", ["class"], [transpose.output[0]], to=TensorProto.UINT8),
        ]
    )
    shape = ["batch", "height", "width"]
    graph.output.append(helper.make_tensor_value_info(transpose.output[0], TensorProto.UINT8, shape))
    return copied


def measure(forms: Mapping[str, onnx.ModelProto], image: Array, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each run after three warm-up rounds. Each round begins with another form."""
    spent: dict[str, list[float]] = {form: [] for form in forms}
    turns = [(form, one_thread_session(model)) for form, model in forms.items()]
    for number in range(rounds + 3):
        turns.append(turns.pop(0))
        for form, session in turns:
            # A single thread: the caller's own.
            started = time.thread_time()
            session.run(None, {"image": image})
            if number >= 3:
                spent[form].append(time.thread_time() - started)
    return spent


def one_thread_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Open a session that runs in the caller's thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
