"""Errors of ONNX Runtime become one readable sentence."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

from spyglass_export.runtime_errors import failing_node, first_sentence

_RESHAPE = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. "
    "Name:'flatten' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/"
    "tensor/reshape_helper.h:47 "
    "onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, "
    "onnxruntime::TensorShapeVector&, bool) input_shape_size == size was false. "
    "The input tensor cannot be reshaped to the requested shape. "
    "Input shape:{2,4,1,1}, requested shape:{1,4}\n"
)
SAID = {
    _RESHAPE: "Reshape 'flatten' fails: The input tensor cannot be reshaped to the requested shape",
    _RESHAPE.replace("flatten", ""): (
        "a node Reshape fails: The input tensor cannot be reshaped to the requested shape"
    ),
    "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: x for the following "
    "indices\n index: 0 Got: 2 Expected: 1\n Please fix either the inputs/outputs or the model.": (
        "Got invalid dimensions for input: x for the following indices index: 0 Got: 2 Expected: 1"
    ),
    "[ONNXRuntimeError] : 1 : FAIL : Load model from a/b.onnx failed:/onnxruntime_src/onnxruntime/core/graph/"
    "model_load_utils.h:46 void onnxruntime::ValidateOpsetForDomain(const std::unordered_map<std::__cxx11::"
    "basic_string<char>, int>&, bool (*)(int)) Opset 99 is under development. It may change.\n": (
        "Opset 99 is under development"
    ),
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: /onnxruntime_src/"
    "onnxruntime/core/optimizer/initializer.cc:45 onnxruntime::Initializer::Initializer("
    "const onnx::TensorProto&) "
    "!model_path.empty() was false. model_path must not be empty": (
        "Exception during initialization: model_path must not be empty"
    ),
    "[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. Type Error: Type 'tensor(int64)' of "
    "input parameter (x) of operator (Conv) in node () is invalid.": (
        "Type 'tensor(int64)' of input parameter (x) of operator (Conv) in node () is invalid"
    ),
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Expand node. Name:'' Status "
    "Message: [ONNXRuntimeError] : 1 : FAIL : Calculation overflowed": (
        "a node Expand fails: Calculation overflowed"
    ),
    "something else": "something else",
    "": "",
}


@pytest.mark.parametrize("text", SAID)
def test_codes_paths_and_signatures_are_left_out(text: str) -> None:
    assert first_sentence(RuntimeError(text)) == SAID[text]


def test_an_error_whose_own_text_is_damaged_has_a_sentence_too() -> None:
    error = UnicodeDecodeError("utf-8", b"Load model from a\xda", 17, 18, "invalid continuation byte")
    assert first_sentence(error) == "a name in it is not valid UTF-8"


def test_the_node_that_failed_is_found() -> None:
    assert failing_node(RuntimeError(_RESHAPE)) == "Reshape 'flatten'"
    assert failing_node(RuntimeError("something else")) == ""
