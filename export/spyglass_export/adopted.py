"""What is known of a classifier that others made: its card before the export, class names and images."""

from __future__ import annotations

import datetime
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from PIL import Image

from spyglass.v1.model_pb2 import (
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    TASK_CLASSIFY,
    InputSpec,
    ModelCard,
    Provenance,
    ValueRange,
)
from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_export.draft import name_and_version

MOST_IMAGES = 8
# They become a part of the file, and are asked about whenever it is loaded.
MOST_BYTES = 200_000

_RESIZE_RULES = {"stretch": RESIZE_RULE_STRETCH, "crop": RESIZE_RULE_CROP, "pad": RESIZE_RULE_PAD}


def draft_adopted(
    file: Path,
    target: Path,
    *,
    class_names: Sequence[str],
    size: tuple[int, int],
    resize: Literal["stretch", "crop", "pad"] = "crop",
    crop_fraction: float = 1.0,
    description: str = "",
    licence: str = "",
) -> ModelCard:
    """The card of the classifier `file` that goes to the folder `target`, NAME/VERSION.

    `size` is (height, width) of the network's input. The colour mode is left to whoever reads the graph.
    Raises ModelError where the folder's name holds no version.
    """
    name, version = name_and_version(target)
    spec = InputSpec(
        tensor="image",
        height=size[0],
        width=size[1],
        value_range=ValueRange(minimum=0, maximum=255),
        resize=_RESIZE_RULES[resize],
        crop_fraction=crop_fraction,
        scaled_decode_margin=2,
    )
    provenance = Provenance(
        architecture=file.stem,
        licence=licence,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        source_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    return ModelCard(
        name=name,
        version=version,
        task=TASK_CLASSIFY,
        description=description,
        input=spec,
        class_names=class_names,
        provenance=provenance,
    )


def open_model(file: Path) -> onnx.ModelProto:
    """The graph with its weights, those in files of their own too.

    Raises ModelError where the file is not ONNX, or one of those is missing or damaged.
    """
    try:
        model = onnx.load(file, load_external_data=False)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{file} is not an ONNX model: {error}") from error
    if not model.graph.node:
        raise ModelError(f"{file} is not an ONNX model: there is no network in it")
    for name in sorted(_weight_files(model)):
        if not (file.parent / name).is_file():
            raise ModelError(f"{file} keeps weights in {file.parent / name}, and there is no such file")
    try:
        onnx.load_external_data_for_model(model, str(file.parent))
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"the weights that {file} keeps elsewhere cannot be read: {error}") from error
    return model


def _weight_files(model: onnx.ModelProto) -> set[str]:
    """The files, beside that of the graph, that its weights are in."""
    return {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def read_class_names(file: Path) -> list[str]:
    """One name a line, in the order of the network's outputs; empty lines at the end are none.

    Raises InvalidInput where the file is no text, and where a line before the last name is empty.
    """
    try:
        # Editors of Windows write a mark before the first letter.
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is no text in UTF-8: {error}", field="classes") from error
    if "" in names:
        raise InvalidInput(
            f"line {names.index('') + 1} of {file} is empty: a class has no name, or is one too many",
            field="classes",
        )
    return names


def read_golden(folder: Path) -> dict[str, bytes]:
    """The images of a folder by file name. Raises InvalidInput where they are none, or too many."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder of images", field="golden")
    images = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    total = sum(map(len, images.values()))
    if not 1 <= len(images) <= MOST_IMAGES or total > MOST_BYTES:
        raise InvalidInput(
            f"{folder} holds {len(images)} files of {total:,} bytes, where 1 to {MOST_IMAGES} images "
            f"of {MOST_BYTES:,} bytes at most make the certificate",
            field="golden",
        )
    return images


def made_images() -> dict[str, bytes]:
    """Images for a certificate where there are no others: a PNG and a JPEG of smooth noise.

    They prove decoding, resize and the network's arithmetic, and show nothing that a class is of.
    """
    noise = np.random.RandomState(0).randint(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    return {"made.jpg": _encoded(smooth, "JPEG"), "made.png": _encoded(smooth.rotate(180), "PNG")}


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
