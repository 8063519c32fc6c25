"""What `spyglass adopt` prints of a written model: its certificate, and the changes to the network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spyglass.v1.model_pb2 import ModelCard
    from spyglass_export.adopting.adopt import Adopted

# Classes of a golden image that the command prints.
_MOST_SHOWN = 5


def print_certificate(card: ModelCard, file: Path, target: Path, *, images_given: bool) -> None:
    """Print the largest difference and, for each golden image, its class: a wrong mean shows there."""
    certificate = card.certificate
    kind = "golden images" if images_given else "images of noise"
    print(
        f"{target}: outputs for {len(certificate.images)} {kind} and {len(certificate.tensors)} tensors "
        f"differ from {file} by at most {certificate.max_abs_diff:.1e} "
        f"(allowed: {certificate.tolerance:.0e})"
    )
    if not images_given:
        print(
            "no --golden: the certificate uses noise, which proves the arithmetic only; pass images of "
            "classes that the network knows to see whether --mean, --std and --channel-order are right",
            file=sys.stderr,
        )
        return
    for image in certificate.images:
        best = sorted(range(len(card.class_names)), key=image.expected.__getitem__, reverse=True)
        # Of independent labels several can be more probable than not.
        shown = [index for index in best[:_MOST_SHOWN] if image.expected[index] > 0.5] or best[:1]
        classes = ", ".join(f"{card.class_names[index]} {image.expected[index]:.1%}" for index in shown)
        print(f"  {image.name}: {classes}")


def print_changes(adopted: Adopted, *, images_given: bool) -> None:
    """Print what was added to the network, and what its model cannot do."""
    if adopted.assumed:
        print(
            "the graph ends in logits and does not say which activation they need: a softmax was added, for "
            "classes of which one applies; pass --activation sigmoid if several can apply to one image"
        )
    elif adopted.activation:
        print(f"a {adopted.activation.lower()} was added to the logits")
    if adopted.several_labels and images_given:
        print(
            f"several classes are almost certain by themselves in {', '.join(adopted.several_labels)}: if "
            "the network was trained with a sigmoid for each class, pass --activation sigmoid",
            file=sys.stderr,
        )
    if adopted.other_class_names:
        names = ", ".join(adopted.other_class_names[:10])
        print(
            f"the file has class names of its own, the model has those of --classes; in the file: {names}",
            file=sys.stderr,
        )
    if adopted.one_image:
        print(
            f"the network works for one image at a time, and the server will run it so: {adopted.one_image}",
            file=sys.stderr,
        )
    for notice in adopted.heatmap_notices:
        print(notice, file=sys.stderr)
    if adopted.no_heatmap:
        print(adopted.no_heatmap, file=sys.stderr)
