"""The flags by which commands that write model files choose what a heatmap explains."""

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
# How arguments of Python are written in messages: feature_map=… or method='eigencam'.
_ARGUMENT = re.compile(r"\b(feature_map|scores|method)=(?:…|'(\w+)')")


def add_heatmap_flags(group: argparse._ActionsContainer) -> None:
    """Adds `--feature-map`, `--method` and `--probability-gradient`."""
    group.add_argument(
        "--feature-map", metavar="NAME", help="a tensor or node to explain; default: the last spatial one"
    )
    group.add_argument(
        "--method",
        choices=HEATMAP_METHODS,
        default=HEATMAP_METHODS[0],
        help="how heatmaps come about; scorecam takes a forward pass for each channel (default: %(default)s)",
    )
    group.add_argument(
        "--probability-gradient",
        action="store_true",
        help="explain the probability, as the book does, and not the logit",
    )


def explained_by(arguments: argparse.Namespace) -> Explained:
    """What the flags choose."""
    from spyglass_export.explain import Explained

    return Explained(
        arguments.feature_map,
        arguments.method,
        "probability" if arguments.probability_gradient else "logit",
    )


def explanation(card: ModelCard) -> str:
    """The layer that a model's heatmaps explain, with method and score where the card states them."""
    score = f", of the {card.explained_score}" if card.explained_score else ""
    return f"{card.explained_layer} ({card.heatmap_method or HEATMAP_METHODS[0]}{score})"


def tell_explained(card: ModelCard) -> None:
    """Says what the heatmaps of a file that was written explain, and where they show nothing."""
    if not card.explained_layer:
        return
    certificate = card.certificate
    print(f"heatmaps explain {explanation(card)}")
    if certificate.heatmaps and certificate.zero_heatmaps == certificate.heatmaps:
        print(
            f"all {certificate.heatmaps} heatmaps of the golden images are 0 everywhere: nothing in "
            f"{card.explained_layer} speaks for the most probable classes; try another --feature-map",
            file=sys.stderr,
        )


@contextmanager
def told_in_flags() -> Iterator[None]:
    """Raises a HeatmapError from inside with the flags of the command in place of Python's arguments."""
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
