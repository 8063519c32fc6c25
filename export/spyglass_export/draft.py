"""The card of a model before its export: everything but the certificate."""

from __future__ import annotations

import hashlib
from pathlib import Path

from spyglass.v1.model_pb2 import ModelCard, Provenance
from spyglass_contract.errors import ModelError
from spyglass_contract.model.card import validate_card
from spyglass_contract.model.run_folder import RunFolder


def draft_card(run: RunFolder, target: Path) -> ModelCard:
    """What the run says of itself, under the name and version that the folder `target` has.

    Raises ModelError where the run is not whole, and CardError where name, classes or input are not valid.
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
    return card


def name_and_version(target: Path) -> tuple[str, int]:
    """What a folder NAME/VERSION says. Raises ModelError where its last part is no version."""
    folder = target.resolve()
    version = int(folder.name) if folder.name.isdecimal() else 0
    if version < 1 or folder.name != str(version):
        raise ModelError(f"{target} does not end in NAME/VERSION, such as models/digits/1")
    return folder.parent.name, version
