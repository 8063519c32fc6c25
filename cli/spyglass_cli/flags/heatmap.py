"""The flags of heatmaps, for commands that write model files."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spyglass_contract.model.card import HEATMAP_METHODS

if TYPE_CHECKING:
    from spyglass.v1.model_pb2 import ModelCard
    from spyglass_export.explain import Explained

_ADVICE = (
    "choose a feature map behind it with --feature-map, or --method eigencam or scorecam, "
    "which need no gradient"
)
# An argument of Python in a message of spyglass_export: feature_map=… or method='eigencam'.
_ARGUMENT = re.compile(r"\b(feature_map|scores|method)=(?:…|'(\w+)')")


def add_heatmap_flags(group: argparse._ActionsContainer) -> None:
    """Add `--feature-map`, `--method` and `--probability-gradient`."""
    group.add_argument(
        "--feature-map",
        metavar="NAME",
        help="tensor or node of the feature map to explain (default: the last spatial one)",
    )
    group.add_argument(
        "--method",
        choices=HEATMAP_METHODS,
        default=HEATMAP_METHODS[0],
        help="method that computes heatmaps; scorecam runs the network once for each channel of the "
        "feature map (default: %(default)s)",
    )
    group.add_argument(
        "--probability-gradient",
        action="store_true",
        help="take the gradient of the probability (default: of the logit)",
    )


def explained_by(arguments: argparse.Namespace) -> Explained:
    """Return the feature map, the method and the score that the flags choose."""
    from spyglass_export.explain import Explained

    return Explained(
        arguments.feature_map,
        arguments.method,
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
    if certificate.heatmaps and certificate.zero_heatmaps == certificate.heatmaps:
        print(
            f"all {certificate.heatmaps} heatmaps of the golden images are 0 everywhere: no feature of "
            f"{card.explained_layer} raises the score of the most probable class; try another --feature-map",
            file=sys.stderr,
        )


@contextmanager
def told_in_flags() -> Iterator[None]:
    """Replace Python's arguments in the message of a HeatmapError by the command's flags."""
    from spyglass_export.gradcam import HeatmapError, UnsupportedHead

    try:
        yield
    except UnsupportedHead as error:
        node, _, _ = error.message.partition(". Choose ")
        raise HeatmapError(f"{node}; {_ADVICE}", reason=error.reason) from error
    except HeatmapError as error:
        raise HeatmapError(_ARGUMENT.sub(_as_flag, error.message), reason=error.reason) from error


def _as_flag(argument: re.Match[str]) -> str:
    name, value = argument.groups()
    return " ".join(filter(None, (f"--{name.replace('_', '-')}", value)))
