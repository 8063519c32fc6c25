"""The card of a model before its export: everything except the certificate."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from spyglass.v1.model_pb2 import (
    RESAMPLING_BILINEAR,
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    TASK_CLASSIFY,
    InputSpec,
    ModelCard,
    Provenance,
    ValueRange,
)
from spyglass_contract.errors import ModelError
from spyglass_contract.model.card import validate_card
from spyglass_contract.model.run_folder import RunFolder

_RESIZE_RULES = {"stretch": RESIZE_RULE_STRETCH, "crop": RESIZE_RULE_CROP, "pad": RESIZE_RULE_PAD}


def draft_card(run: RunFolder, target: Path) -> ModelCard:
    """Return the card of a training run. Name and version come from the folder `target`, NAME/VERSION.

    Raises ModelError if the run is incomplete or the folder's name holds no version, and CardError if
    name, classes or input are invalid.
    """
    record = run.read_record()
    name, version = name_and_version(target)
    card = ModelCard(
        name=name,
        version=version,
        task=record.task,
        description=record.description,
        input=record.input,
        class_names=record.class_names,
        provenance=Provenance(
            architecture=record.architecture,
            training_data=record.data.name,
            licence=record.data.licence,
            created=record.created,
            source_sha256=hashlib.sha256(run.model.read_bytes()).hexdigest(),
            metrics=record.metrics,
            library_versions=record.library_versions,
            parameters=record.parameters,
        ),
    )
    validate_card(card)
    # Runs do not state the usual resampling.
    card.input.resampling = record.input.resampling or RESAMPLING_BILINEAR
    return card


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
    """Return the card of the ONNX classifier `file`. Name and version come from `target`, NAME/VERSION.

    `size` is (height, width) of the network's input. The colour mode stays unset, because it depends on the
    graph. Raises ModelError if the folder's name holds no version.
    """
    name, version = name_and_version(target)
    spec = InputSpec(
        tensor="image",
        height=size[0],
        width=size[1],
        value_range=ValueRange(minimum=0, maximum=255),
        resize=_RESIZE_RULES[resize],
        crop_fraction=crop_fraction,
        resampling=RESAMPLING_BILINEAR,
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


def name_and_version(target: Path) -> tuple[str, int]:
    """Return name and version of a folder NAME/VERSION. Raises ModelError if its last part is no version."""
    folder = target.resolve()
    version = int(folder.name) if folder.name.isdecimal() else 0
    if version < 1 or folder.name != str(version):
        raise ModelError(f"{target} must end in NAME/VERSION, such as models/digits/1")
    return folder.parent.name, version
