"""Whatever is in an ONNX file, the command ends with one line and no file, or with a proven model."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, TypeProto, helper

Mutation = Callable[[onnx.ModelProto], object]


def without(*fields: str) -> Mutation:
    def clear(model: onnx.ModelProto) -> None:
        for field in fields:
            model.graph.ClearField(field)  # type: ignore[arg-type]

    return clear


def typed(end: str, kind: TypeProto) -> Mutation:
    def change(model: onnx.ModelProto) -> None:
        values = model.graph.input if end == "input" else model.graph.output
        values[0].type.CopyFrom(kind)

    return change


def weight(**fields: Any) -> Mutation:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        if "dims" in fields:
            del tensor.dims[:]
            tensor.dims.extend(fields["dims"])
        else:
            tensor.data_type = fields["data_type"]

    return change


def outside(location: str, **entries: str) -> Mutation:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=value)

    return change


REAL = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 3, 6, 8])
STRINGS = helper.make_tensor_type_proto(TensorProto.STRING, ["n", 3, 6, 8])
UNKNOWN = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 3, 6, 8])
UNKNOWN.tensor_type.elem_type = 999


def infinite(model: onnx.ModelProto) -> None:
    """Replace a weight by numbers whose products are not finite."""
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "weight")
    tensor.raw_data = np.full(tensor.dims, np.inf, np.float32).tobytes()


def needing(side: int) -> Mutation:
    """Add a tensor of `side` times `side` zeros to the scores."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(helper.make_tensor("sides", TensorProto.INT64, [2], [side, side]))
        model.graph.node[-1].output[0] = "product"
        model.graph.node.extend(
            [
                helper.make_node("ConstantOfShape", ["sides"], ["zeros"]),
                helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
                helper.make_node("Add", ["product", "sum"], ["y"]),
            ]
        )

    return change


MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "no nodes": (without("node"), "contains no network"),
    "no inputs": (without("input"), "must have one input, an image, not the inputs []"),
    "no outputs": (without("output"), "the network has no output; name"),
    "no weights": (without("initializer"), "ONNX Runtime cannot load the network"),
    "sequence input": (typed("input", helper.make_sequence_type_proto(REAL)), "not a sequence"),
    "optional input": (typed("input", helper.make_optional_type_proto(REAL)), "not an optional value"),
    "string input": (typed("input", STRINGS), "not 4 of string"),
    "input of no type": (typed("input", TypeProto()), "not a value without a type"),
    "input of an unknown type": (typed("input", UNKNOWN), "not 4 of an unknown type"),
    "sequence output": (typed("output", helper.make_sequence_type_proto(REAL)), "it is a sequence"),
    "string output": (typed("output", STRINGS), "it is 4 of string"),
    "huge input": (
        typed("input", helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 3, 2**40, 2**40])),
        "takes 1099511627776x1099511627776 pixels, not 6x8",
    ),
    "huge weight": (weight(dims=[2**40, 3, 1, 1]), "ONNX Runtime cannot load the network"),
    "weight of a negative size": (weight(dims=[-4, 3, 1, 1]), "ONNX Runtime cannot load the network"),
    "weight of an unknown type": (weight(data_type=999), "ONNX Runtime cannot load the network"),
    "more memory than there is": (
        needing(2**31),
        "ConstantOfShape fails: Calculation for Tensor storage size",
    ),
    "infinite weights": (infinite, "the output 'y' is NaN or infinite for an image; check the preprocessing"),
    "missing weights": (outside("nowhere"), "but that file does not exist"),
    "weights in a parent folder": (outside("../nowhere"), "but that file does not exist"),
    "weights at no number": (outside("names.txt", offset="x"), "cannot read the weights"),
    "weights behind the end": (outside("names.txt", offset="99999999"), "cannot read the weights"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_part_is_named_in_one_line(
    classifier: Any,
    name: str,
    attach: Callable[..., int],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    mutate, message = MUTATIONS[name]
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    mutate(model)
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())
    assert attach(tmp_path / "theirs.onnx") == 1
    printed = capfd.readouterr()
    assert message in printed.err and len(printed.err.splitlines()) == 1 and not printed.out
    assert not (tmp_path / "models").exists()


def test_a_network_that_breaks_an_assumption_is_reported_in_one_line(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Thousands of exponentials and logarithms in turn: the search for the logits goes too deep."""
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.node[-1].output[0] = "z0"
    for index in range(2000):
        operator, output = ("Exp", "Log")[index % 2], "y" if index == 1999 else f"z{index + 1}"
        model.graph.node.append(helper.make_node(operator, [f"z{index}"], [output]))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "cannot read the network (RecursionError: " in line


OTHER_FORMATS = {
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    "checkpoint": (b"PK\x03\x04archive/data.pkl", "a zip archive, such as a PyTorch checkpoint"),
    "keras": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "tflite": (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
    "ort": (b"\x1c\0\0\0ORTM", "ONNX Runtime's own format"),
}


@pytest.mark.parametrize("name", OTHER_FORMATS)
def test_another_format_is_named(
    name: str, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = OTHER_FORMATS[name]
    (tmp_path / "theirs.onnx").write_bytes(content)
    assert attach(tmp_path / "theirs.onnx") == 1
    assert message in capsys.readouterr().err


def damaged(content: bytes, seed: int) -> bytes:
    """The content with some bytes changed, cut off or left out."""
    chance, data = random.Random(seed), bytearray(content)
    start = chance.randrange(len(data))
    match seed % 3:
        case 0:
            for _ in range(chance.choice([1, 3, 10])):
                data[chance.randrange(len(data))] = chance.randrange(256)
        case 1:
            del data[start:]
        case _:
            del data[start : start + chance.randrange(1, 60)]
    return bytes(data)


def check_damaged(
    attach: Callable[..., int], capfd: pytest.CaptureFixture[str], content: bytes, folder: Path, seed: int
) -> None:
    file = folder / f"damaged{seed}.onnx"
    file.write_bytes(damaged(content, seed))
    out = folder / f"models/m{seed}/1"
    code = attach(file, "--out", out, "--scale", "1/255", *(["--no-heatmap"] if seed % 2 else []))
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err + printed.out
    assert code == 0 if out.exists() else (code == 1 and len(printed.err.splitlines()) == 1), printed.err


def test_random_damage_ends_in_one_line_or_a_model(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = classifier().write(tmp_path / "theirs.onnx").read_bytes()
    for seed in range(40):
        check_damaged(attach, capfd, content, tmp_path, seed)


@pytest.mark.slow
def test_much_random_damage_ends_in_one_line_or_a_model(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = classifier().write(tmp_path / "theirs.onnx", ending="Softmax").read_bytes()
    for seed in range(1000, 1600):
        check_damaged(attach, capfd, content, tmp_path, seed)
