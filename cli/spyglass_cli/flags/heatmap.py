"""The flags of heatmaps, for commands that write model files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.card import HEATMAP_METHODS, SCORE_CAM

if TYPE_CHECKING:
    from spyglass.v1.model_pb2 import ModelCard
    from spyglass_export.gradcam import Advice
    from spyglass_export.heatmap import HeatmapOptions


def add_heatmap_flags(group: argparse._ActionsContainer) -> None:
    """Add `--no-heatmap`, `--feature-map`, `--method` and `--probability-gradient`."""
    group.add_argument("--no-heatmap", action="store_true", help="make a model without heatmaps")
    group.add_argument(
        "--feature-map",
        metavar="NAME",
        help="tensor or node of the feature map to explain (default: the last one that every path from the "
        "image to the class scores passes)",
    )
    group.add_argument(
        "--method",
        choices=HEATMAP_METHODS,
        help="method that computes heatmaps; scorecam runs the network once for each channel of the "
        f"feature map (default: {HEATMAP_METHODS[0]})",
    )
    group.add_argument(
        "--probability-gradient",
        action="store_true",
        help="take the gradient of the probability (default: of the logit)",
    )


def explained_by(arguments: argparse.Namespace) -> HeatmapOptions | None:
    """Return the heatmap options that the flags set, None for no heatmap.

    Raises InvalidInput if `--no-heatmap` is given with a flag of the heatmap.
    """
    if arguments.no_heatmap:
        if arguments.feature_map or arguments.method or arguments.probability_gradient:
            raise InvalidInput(
                "--feature-map, --method and --probability-gradient are for a heatmap: leave out --no-heatmap"
            )
        return None
    from spyglass_export.heatmap import DEFAULT_HEATMAP, HeatmapOptions

    return HeatmapOptions(
        arguments.feature_map,
        DEFAULT_HEATMAP.method if arguments.method is None else arguments.method,
        "probability" if arguments.probability_gradient else "logit",
    )


def explanation(card: ModelCard) -> str:
    """Return the layer that a model's heatmaps explain, with the method and, if it is known, the score."""
    score = f", of the {card.explained_score}" if card.explained_score else ""
    return f"{card.explained_layer} ({card.heatmap_method or HEATMAP_METHODS[0]}{score})"


def print_explained(card: ModelCard) -> None:
    """Print the layer that the heatmaps explain, and a warning if all golden heatmaps are 0 everywhere."""
    if not card.explained_layer:
        return
    certificate = card.certificate
    print(f"heatmaps explain {explanation(card)}")
    if certificate.HasField("gradient_error"):
        print(f"their gradient agrees with finite differences to {certificate.gradient_error:.0e}")
    elif card.explained_score and card.heatmap_method != SCORE_CAM:
        print(
            "their gradient was not compared with finite differences: the part of the network behind the "
            "feature map does not run by itself, or differences of several steps do not agree",
            file=sys.stderr,
        )
    if certificate.heatmaps and certificate.zero_heatmaps == certificate.heatmaps:
        print(
            f"all {certificate.heatmaps} heatmaps of the golden images are 0 everywhere: no feature of "
            f"{card.explained_layer} raises the score of the most probable class; try another --feature-map",
            file=sys.stderr,
        )


@contextmanager
def heatmap_errors_with_flags() -> Iterator[None]:
    """Raise each HeatmapError again with advice that names flags of the command."""
    from spyglass_export.gradcam import HeatmapError, ScoresError, with_advice

    try:
        yield
    except HeatmapError as error:
        words = [_in_flags(advice, error.tensors.get(advice, "NAME")) for advice in error.advice]
        choices = [each for each in words if each]
        if not isinstance(error, ScoresError):
            choices.append("make a model without heatmaps with --no-heatmap")
        raise HeatmapError(with_advice(error.problem, choices), reason=error.reason) from error


def _in_flags(advice: Advice, tensor: str) -> str:
    """Word advice about a tensor for the command line; empty if no flag does it."""
    from spyglass_export.gradcam import Advice

    words = {
        Advice.NAME_SCORES: f"name the output of class scores with --scores {tensor}",
        Advice.NAME_FEATURE_MAP: f"name the feature map with --feature-map {tensor}",
        Advice.LATER_FEATURE_MAP: f"choose a feature map behind this node with --feature-map {tensor}",
        Advice.EARLIER_SCORES: "",
        Advice.NO_GRADIENT: "choose --method eigencam or scorecam, which need no gradient",
    }
    return words[advice]
