from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from onnx import TensorProto, helper

from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.adopting.image_input import ImageInput
from spyglass_export.adopting.preprocessing import Preprocessing, add_preprocessing, preprocess
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.session_options import session_options

TORCHVISION = Preprocessing(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Array = np.ndarray[Any, Any]


def model_of(preprocessing: Preprocessing, image: ImageInput) -> onnx.ModelProto:
    build = GraphBuilder(17, {"pixels"}, "before/")
    result = add_preprocessing(build, "pixels", preprocessing, image)
    sizes = ["batch", image.height, image.width, image.channels]
    graph = helper.make_graph(
        build.nodes,
        "preprocessing",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, sizes)],
        [helper.make_tensor_value_info(result, image.element, ["batch", *image.shape[1:]])],
        build.initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, pixels: Array) -> Array:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    found: Array = session.run(None, {"pixels": pixels})[0]
    return found


def an_image(
    element: int, channels: int = 3, first: bool = True, size: tuple[int, int] = (5, 7)
) -> ImageInput:
    return ImageInput("x", element, channels, first, *size, None)


@pytest.mark.parametrize("element", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("size", [(5, 7), (4, 3), (3, 3)])
@pytest.mark.parametrize(
    "preprocessing",
    [
        TORCHVISION,
        Preprocessing(1 / 255, TORCHVISION.mean, TORCHVISION.std, bgr=True),
        Preprocessing(1.0, (103.939, 116.779, 123.68), (1.0,), bgr=True),
        Preprocessing(1 / 127.5, (1.0,), (1.0,)),
        Preprocessing(1.0, (127.5,), (127.5, 127.5, 127.5)),
        Preprocessing(),
    ],
)
def test_the_nodes_compute_exactly_what_numpy_computes(
    preprocessing: Preprocessing, size: tuple[int, int], first: bool, element: int
) -> None:
    image = an_image(element, 3, first, size)
    pixels = np.random.default_rng(1).integers(0, 256, (2, *size, 3)).astype(np.uint8)

    found = run(model_of(preprocessing, image), pixels)

    expected = preprocess(pixels, preprocessing, channels_first=first, element=element)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize("bgr", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_network_of_bytes_gets_the_bytes_in_its_order(first: bool, bgr: bool) -> None:
    image, preprocessing = an_image(TensorProto.UINT8, 3, first), Preprocessing(bgr=bgr)
    pixels = np.random.default_rng(2).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)

    found = run(model_of(preprocessing, image), pixels)

    expected = preprocess(pixels, preprocessing, channels_first=first, element=TensorProto.UINT8)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("first", [True, False])
def test_grey_images_are_computed_exactly(first: bool) -> None:
    image, preprocessing = an_image(TensorProto.FLOAT, 1, first), Preprocessing(1 / 255, (0.1307,), (0.3081,))
    pixels = np.random.default_rng(3).integers(0, 256, (2, 5, 7, 1)).astype(np.uint8)

    found = run(model_of(preprocessing, image), pixels)

    expected = preprocess(pixels, preprocessing, channels_first=first, element=TensorProto.FLOAT)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("bgr", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_only_bytes_are_moved(first: bool, bgr: bool) -> None:
    chosen = Preprocessing(1 / 255, TORCHVISION.mean, TORCHVISION.std, bgr)
    model = onnx.shape_inference.infer_shapes(model_of(chosen, an_image(TensorProto.FLOAT, 3, first)))

    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    moved = [node.input[0] for node in model.graph.node if node.op_type in ("Gather", "Transpose")]

    assert {types.get(name, TensorProto.UINT8) for name in moved} <= {TensorProto.UINT8}
    assert len(moved) == {(True, True): 2, (True, False): 1, (False, True): 3, (False, False): 0}[first, bgr]


@pytest.mark.parametrize("first", [True, False])
def test_no_operand_has_three_numbers_on_its_last_axis_only(first: bool) -> None:
    # ONNX Runtime would work on three numbers at a time.
    model = model_of(TORCHVISION, an_image(TensorProto.FLOAT, 3, first))

    assert (3,) not in {tuple(tensor.dims) for tensor in model.graph.initializer}
