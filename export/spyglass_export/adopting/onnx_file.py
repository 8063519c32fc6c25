"""The file of a classifier from elsewhere: its graph and its weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from spyglass_contract.errors import ModelError
from spyglass_export.adopting.guard import first_line
from spyglass_export.simplifying.node_order import inner_graphs

# Other files that users give by mistake: their first bytes, behind an offset.
_OTHER_FORMATS = (
    (0, b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself with `git lfs pull`"),
    (0, b"PK\x03\x04", "a zip archive, such as a PyTorch checkpoint; export it to ONNX first"),
    (0, b"\x80\x02", "a Python pickle, such as a PyTorch checkpoint; export it to ONNX first"),
    (0, b"\x89HDF\r\n", "HDF5, such as a Keras model; export it to ONNX first"),
    (4, b"TFL3", "a TensorFlow Lite model; convert it to ONNX first"),
    (4, b"ORTM", "in ONNX Runtime's own format (.ort); give the .onnx file that it was made from"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it first"),
)
_LONGEST_MAGIC = 32


def open_model(file: Path) -> onnx.ModelProto:
    """Return the graph with its weights, including weights in separate files.

    Raises ModelError if the file is not ONNX, or if a file of weights is missing or damaged.
    """
    with file.open("rb") as opened:
        start = opened.read(_LONGEST_MAGIC)
    for offset, magic, kind in _OTHER_FORMATS:
        if start[offset:].startswith(magic):
            raise ModelError(f"{file} is not an ONNX model: it is {kind}")
    try:
        model = onnx.load(file, load_external_data=False)
    except (DecodeError, onnx.checker.ValidationError, UnicodeDecodeError, ValueError) as error:
        raise ModelError(f"{file} is not an ONNX model: {first_line(error)}") from error
    if not model.graph.node:
        raise ModelError(f"{file} is not an ONNX model: it contains no network")
    _load_weights(model, file)
    return model


def _load_weights(model: onnx.ModelProto, file: Path) -> None:
    for name in sorted(_weight_files(model)):
        if not (file.parent / name).is_file():
            raise ModelError(f"{file} keeps weights in {file.parent / name}, but that file does not exist")
    try:
        onnx.load_external_data_for_model(model, str(file.parent))
    # onnx raises errors of its checker, of the file system, and of Python for offsets that are not numbers.
    except Exception as error:
        raise ModelError(
            f"cannot read the weights that {file} keeps in other files: {first_line(error)}"
        ) from error


def _weight_files(model: onnx.ModelProto) -> set[str]:
    """Names of the files, in the folder of the graph, that hold its weights."""
    return {
        entry.value
        for tensor in _tensors(model.graph)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The weights of a graph, also those in attributes and in graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)
        for inner in inner_graphs(node):
            yield from _tensors(inner)
