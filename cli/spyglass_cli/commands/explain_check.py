"""`spyglass explain --check`: a report on how far a model's heatmaps can be trusted."""

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
from spyglass_cli.flags.types import positive_integer, seed
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

# Options that need --check, and options that --check does not allow.
_NEED_CHECK = ("file", "steps", "seed")
_NOT_WITH_CHECK = {"targets": "--class and --class-index", "top_k": "--top-k"}


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Add `--check`, `--file`, `--steps` and `--seed`."""
    group = parser.add_argument_group("check of the heatmaps")
    group.add_argument(
        "--check",
        action="store_true",
        help="write a report on the heatmaps of these images into --out, in place of heatmaps: deletion and "
        "insertion curves, and a comparison with a model of random weights",
    )
    group.add_argument(
        "--file",
        type=Path,
        metavar="MODEL.onnx",
        help="file of the model to check (default: the bundled model of --model)",
    )
    group.add_argument(
        "--steps", type=positive_integer, metavar="N", help=f"steps of each curve (default: {_STEPS})"
    )
    group.add_argument(
        "--seed",
        type=seed,
        metavar="N",
        help=f"seed of random numbers; the same seed gives the same report (default: {_SEED})",
    )


def check_unused(arguments: argparse.Namespace) -> None:
    """Raise InvalidInput if an option of the check is given without `--check`."""
    for name in _NEED_CHECK:
        if getattr(arguments, name) is not None:
            raise InvalidInput(f"--{name} is for --check", field=name)


def run_check(arguments: argparse.Namespace) -> int:
    """Write the report; return 0, or 1 if an image cannot be read. Raises SpyglassError."""
    _check_options(arguments)
    for module in ("onnx", "onnxruntime", "matplotlib"):
        require("checking", module)
    from spyglass_export.checking.network import ExplainedNetwork
    from spyglass_export.checking.report import write_report

    content = (arguments.file or _bundled(arguments.model)).read_bytes()
    network = ExplainedNetwork(content)
    subjects, skipped = _read_all(find_sources(arguments.paths), network.card.input)
    if subjects:
        # An output folder that cannot be created ends the command before the long work.
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
    random_seed = _SEED if arguments.seed is None else arguments.seed
    images = []
    for image in check_curves(network, subjects, steps, random_seed):
        _print_image(image, network.card.class_names)
        images.append(image)
    stages = list(check_randomised(onnx.load_from_string(content), images, random_seed))
    sha256 = hashlib.sha256(content).hexdigest()
    return Checked(network.card, sha256, steps, random_seed, images, stages, skipped)


def _check_options(arguments: argparse.Namespace) -> None:
    if arguments.server:
        raise InvalidInput(
            "--check changes the weights of a model file and runs it in this process, without a server: "
            f"leave out --server, and unset the environment variable {SERVER_VARIABLE}",
            field="server",
        )
    if arguments.out is None:
        raise InvalidInput("--check needs --out DIR, the folder of the report", field="out")
    if arguments.file and arguments.model:
        raise InvalidInput("--file and --model exclude each other: pass one of them, not both", field="file")
    for name, flag in _NOT_WITH_CHECK.items():
        if getattr(arguments, name):
            raise InvalidInput(f"--check explains the predicted class: leave out {flag}", field=name)


def _bundled(model: str) -> Path:
    """Return the file of the bundled model NAME or NAME:VERSION; empty: the default model.

    Raises NotFound if there is no such model, and InvalidInput if `model` is not a model's name.
    """
    from spyglass_server.engine.models.bundled import bundled_models
    from spyglass_server.engine.models.choices import DEFAULT_MODELS
    from spyglass_server.engine.models.lifecycle.policy import ALL
    from spyglass_server.engine.models.model_files import model_files

    ref = model_ref(model)
    name = ref.name or DEFAULT_MODELS[0]
    found = {
        int(file.parent.name): file
        for file in model_files(bundled_models(), ALL)
        if file.parent.parent.name == name
    }
    version = ref.version or max(found, default=0)
    if ref.label or version not in found:
        raise NotFound(f"no model {model or name!r} is bundled; pass a model file with --file", field="model")
    return found[version]


def _read_all(sources: Sequence[Source], spec: InputSpec) -> tuple[list[Subject], list[tuple[str, str]]]:
    """Return the prepared images, and (path, error) of each that cannot be read; print these errors."""
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


def _print_image(image: CheckedImage, names: Sequence[str]) -> None:
    curves = next(iter(image.curves.values()))
    print(
        f"{image.subject.name}: {names[image.class_index]} {image.probability:.1%}, "
        f"deletion {curves.deletion_auc:.3f}, insertion {curves.insertion_auc:.3f}",
        flush=True,
    )


def _verdict(checked: Checked) -> str:
    total = len(checked.images)
    comparisons = ", ".join(
        f"{curve} better than {rival} in {checked.wins(curve, rival)} of {total}"
        for curve in ("deletion", "insertion")
        for rival in ("chance", "centre")
    )
    return f"{comparisons}; {checked.stages[-1].layers} layers randomised"
