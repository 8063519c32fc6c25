"""Files that describe a classifier from elsewhere: its graph, its class names and its golden images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from PIL import Image

from spyglass_contract.errors import InvalidInput, ModelError

MOST_IMAGES = 8
# Golden images are stored in the model file, and every server that loads it runs the model on them.
MOST_BYTES = 200_000


def open_model(file: Path) -> onnx.ModelProto:
    """Return the graph with its weights, including weights in separate files.

    Raises ModelError if the file is not ONNX, or if a file of weights is missing or damaged.
    """
    try:
        model = onnx.load(file, load_external_data=False)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{file} is not an ONNX model: {error}") from error
    if not model.graph.node:
        raise ModelError(f"{file} is not an ONNX model: it contains no network")
    for name in sorted(_weight_files(model)):
        if not (file.parent / name).is_file():
            raise ModelError(f"{file} keeps weights in {file.parent / name}, but that file does not exist")
    try:
        onnx.load_external_data_for_model(model, str(file.parent))
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"cannot read the weights that {file} keeps in other files: {error}") from error
    return model


def _weight_files(model: onnx.ModelProto) -> set[str]:
    """Names of the files, in the folder of the graph, that hold its weights."""
    return {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def read_class_names(file: Path) -> list[str]:
    """Return one class name per line, in the order of the network's outputs.

    Empty lines at the end are ignored. Raises InvalidInput if the file is not UTF-8 text, or if
    a line before the last name is empty.
    """
    try:
        # Editors on Windows write a byte order mark before the first letter.
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not text in UTF-8: {error}", field="classes") from error
    if "" in names:
        raise InvalidInput(
            f"line {names.index('') + 1} of {file} is empty; write one class name on each line",
            field="classes",
        )
    return names


def read_golden(folder: Path) -> dict[str, bytes]:
    """Return the images of a folder by file name. Raises InvalidInput if there are none or too many."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder of images", field="golden")
    images = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    total = sum(map(len, images.values()))
    if not 1 <= len(images) <= MOST_IMAGES or total > MOST_BYTES:
        raise InvalidInput(
            f"{folder} must hold 1 to {MOST_IMAGES} images of together at most {MOST_BYTES:,} bytes for the "
            f"certificate, not {len(images)} files of {total:,} bytes",
            field="golden",
        )
    return images


def made_images() -> dict[str, bytes]:
    """Return generated images for a certificate without real images: a PNG and a JPEG of smooth noise.

    They prove decoding, resize and the network's arithmetic, but they show no class.
    """
    noise = np.random.RandomState(0).randint(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    return {"made.jpg": _encoded(smooth, "JPEG"), "made.png": _encoded(smooth.rotate(180), "PNG")}


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
