"""Writing of a model file that passed its checks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ModelError
from spyglass_contract.files import whole_file
from spyglass_contract.model import held_out
from spyglass_contract.model.card import read_card, write_card
from spyglass_contract.model.certificate import replay
from spyglass_contract.model.precisions import INT8_FILE
from spyglass_export.proving.gradient import prove_gradient
from spyglass_export.proving.heatmaps import prove_heatmaps
from spyglass_export.proving.prove import prove
from spyglass_export.score_kind import score_kind
from spyglass_export.session import open_session, runner

FILE_NAME = "model.onnx"


def version_folder(out: Path) -> Path:
    """Return the folder NAME/VERSION. `out` names that folder or the model file in it."""
    return out.parent if out.name == FILE_NAME else out


def file_to_write(target: Path, *, force: bool) -> Path:
    """Return the model file in the folder `target`. Raises ModelError if it exists, unless `force`."""
    file = target / FILE_NAME
    if file.exists() and not force:
        raise ModelError(f"{file} already exists; choose another version, or overwrite it with --force")
    return file


def write_proven(model: onnx.ModelProto, card: ModelCard, target: Path) -> None:
    """Write `model` with `card` to `target` atomically, if its outputs match the certificate.

    Stores in `card` the largest difference to the certificate, the number of heatmaps checked, the error of
    their gradient and the kind of the scores. Raises ModelError if the graph is not valid ONNX, and
    CertificateError if its outputs differ from the certificate, or its heatmaps are inconsistent or have a
    wrong gradient; then nothing remains on disk. Files in a reduced precision that were made from an earlier
    file of this version are removed.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the graph is not valid ONNX: {error}") from error
    unsaved = open_session(model.SerializeToString())
    card.certificate.max_abs_diff = replay(card, runner(unsaved, card)).max_abs_diff
    examined = prove_heatmaps(unsaved, card)
    card.certificate.heatmaps, card.certificate.zero_heatmaps = examined.maps, examined.zero
    card.certificate.ClearField("gradient_error")
    if (found := prove_gradient(model, card, examined)) is not None:
        card.certificate.gradient_error = found
    card.score_kind = score_kind(model, card)
    write_card(model, card)
    with _new_folders(target.parent), whole_file(target) as temporary:
        temporary.write_bytes(model.SerializeToString())
        session = open_session(temporary)
        prove(session, read_card(session))
    for stale in (INT8_FILE, held_out.FILE_NAME):
        target.with_name(stale).unlink(missing_ok=True)


@contextmanager
def _new_folders(folder: Path) -> Iterator[None]:
    """Make `folder` and its missing parents; remove them again if the block raises."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for each in made:
            each.rmdir()
        raise
