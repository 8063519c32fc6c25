"""`spyglass explain --check`: can a model's heatmaps be trusted?"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli import process
from spyglass_cli.asking.sources import Source, find_sources
from spyglass_cli.flags.connection import SERVER_VARIABLE
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.types import count, count_or_none
from spyglass_contract.errors import InvalidInput, NotFound, SpyglassError
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.names import model_ref

if TYPE_CHECKING:
    from spyglass.v1.model_pb2 import InputSpec
    from spyglass_export.checking.check import CheckedImage, Subject
    from spyglass_export.checking.network import ExplainedNetwork
    from spyglass_export.checking.summary import Checked

_STEPS = 32
_SEED = 0

# The options of the check alone, and those that make no sense with it.
_ITS_OWN = ("file", "steps", "seed")
_ELSEWHERE = {"targets": "--class", "top_k": "--top-k"}


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--check` and what belongs to it."""
    group = parser.add_argument_group("checking the heatmaps")
    group.add_argument(
        "--check",
        action="store_true",
        help="draw no heatmaps; write into --out what they are worth on these images: deletion and "
        "insertion curves, and what remains of them once the weights are randomised",
    )
    group.add_argument(
        "--file", type=Path, metavar="MODEL.onnx", help="the model to check (default: --model, bundled)"
    )
    group.add_argument("--steps", type=count, metavar="N", help=f"of each curve (default: {_STEPS})")
    group.add_argument(
        "--seed", type=count_or_none, metavar="N", help=f"of all that is left to chance (default: {_SEED})"
    )


def check_unused(arguments: argparse.Namespace) -> None:
    """Raises InvalidInput where an option of the check is given without it."""
    for name in _ITS_OWN:
        if getattr(arguments, name) is not None:
            raise InvalidInput(f"--{name} is for --check", field=name)


def run_check(arguments: argparse.Namespace) -> int:
    """Writes the report. The exit code: 0, or 1 where an image was left out; raises SpyglassError."""
    _check_options(arguments)
    for module in ("onnx", "onnxruntime", "matplotlib"):
        require("checking", module)
    from spyglass_export.checking.network import ExplainedNetwork
    from spyglass_export.checking.report import write_report

    content = (arguments.file or _bundled(arguments.model)).read_bytes()
    network = ExplainedNetwork(content)
    subjects, skipped = _read_all(find_sources(arguments.paths), network.card.input)
    if subjects:
        # Before the work, so that it is not lost where the report cannot be written.
        arguments.out.mkdir(parents=True, exist_ok=True)
        checked = _check(arguments, content, network, subjects, skipped)
        print(f"{write_report(checked, arguments.out)}: {_verdict(checked)}")
    return process.FAILED if skipped else 0


def _check(
    arguments: argparse.Namespace,
    content: bytes,
    network: ExplainedNetwork,
    subjects: Sequence[Subject],
    skipped: Sequence[tuple[str, str]],
) -> Checked:
    import onnx

    from spyglass_export.checking.check import check_curves, check_randomised
    from spyglass_export.checking.summary import Checked

    steps = arguments.steps or _STEPS
    seed = _SEED if arguments.seed is None else arguments.seed
    images = []
    for image in check_curves(network, subjects, steps, seed):
        _tell(image, network.card.class_names)
        images.append(image)
    stages = list(check_randomised(onnx.load_from_string(content), images, seed))
    sha256 = hashlib.sha256(content).hexdigest()
    return Checked(network.card, sha256, steps, seed, images, stages, skipped)


def _check_options(arguments: argparse.Namespace) -> None:
    if arguments.server:
        raise InvalidInput(
            "--check changes the weights of a model file and runs it in this process; it cannot ask a "
            f"server: leave out --server, and {SERVER_VARIABLE} in the environment",
            field="server",
        )
    if arguments.out is None:
        raise InvalidInput("--check needs --out DIR, the folder of its report", field="out")
    if arguments.file and arguments.model:
        raise InvalidInput("--file or --model, not both", field="file")
    for name, flag in _ELSEWHERE.items():
        if getattr(arguments, name):
            raise InvalidInput(f"{flag} is not for --check, which takes the predicted class", field=name)


def _bundled(model: str) -> Path:
    """The file of a bundled model: NAME, NAME:VERSION, or the default one. Raises NotFound, InvalidInput."""
    from spyglass_server.engine.bundled import bundled_models
    from spyglass_server.engine.repository import DEFAULT_MODELS, model_files

    ref = model_ref(model)
    name = ref.name or DEFAULT_MODELS[0]
    found = {
        int(file.parent.name): file
        for file in model_files(bundled_models(), "all")
        if file.parent.parent.name == name
    }
    version = ref.version or max(found, default=0)
    if ref.label or version not in found:
        raise NotFound(f"no model {model or name!r} is bundled; name a file with --file", field="model")
    return found[version]


def _read_all(sources: Sequence[Source], spec: InputSpec) -> tuple[list[Subject], list[tuple[str, str]]]:
    """The images as the network takes them, and each that is none, with the reason, which is told too."""
    from spyglass_export.checking.check import Subject

    subjects, skipped = [], []
    for source in sources:
        try:
            if source.error:
                raise source.error
            subjects.append(Subject(source.path, prepare(source.read(), spec).pixels))
        except SpyglassError as error:
            print(f"{source.path}: {error}", file=sys.stderr)
            skipped.append((source.path, str(error)))
    return subjects, skipped


def _tell(image: CheckedImage, names: Sequence[str]) -> None:
    found = next(iter(image.curves.values()))
    print(
        f"{image.subject.name}: {names[image.class_index]} {image.probability:.1%}, "
        f"deletion {found.deletion_auc:.3f}, insertion {found.insertion_auc:.3f}",
        flush=True,
    )


def _verdict(checked: Checked) -> str:
    total = len(checked.images)
    beaten = ", ".join(
        f"{curve} better than {rival} in {checked.wins(curve, rival)} of {total}"
        for curve in ("deletion", "insertion")
        for rival in ("chance", "centre")
    )
    return f"{beaten}; {checked.stages[-1].layers} layers randomised"
