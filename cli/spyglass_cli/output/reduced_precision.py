"""What a network in a reduced precision keeps of the original, as text."""

from __future__ import annotations

from spyglass.v1.model_pb2 import TASK_CLASSIFY, ModelCard
from spyglass_contract.model.precisions import INT8_FILE, tolerance_of


def reduced_facts(card: ModelCard) -> list[tuple[str, str]]:
    """Return (name, value) pairs of a card's reduced precision; empty if it has none."""
    if not card.HasField("reduced_precision"):
        return []
    reduced = card.reduced_precision
    facts = [
        ("precision", f"{reduced.precision}, {reduced.recipe}" if reduced.recipe else reduced.precision),
        (
            "kept classes",
            f"{reduced.agreement:.2%} on {reduced.held_out_images} held-out images; at least "
            f"{reduced.least_agreement:.2%} must be kept",
        ),
    ]
    if reduced.metric:
        facts.append(
            (
                reduced.metric,
                f"{reduced.reduced_metric:.2%} in {reduced.precision}, {reduced.original_metric:.2%} in "
                f"fp32; it may fall by {100 * reduced.most_metric_loss:g} points",
            )
        )
    return facts


def print_reduced(card: ModelCard) -> None:
    """Print the facts about a file in int8 that was written, one a line."""
    print(f"{INT8_FILE} was written beside the model file:")
    for name, value in reduced_facts(card):
        print(f"  {name}: {value}")
    if tolerance_of(card.reduced_precision).lowered:
        print("  it may lose more than usual, because the command allowed it; the card states that")
    if card.task == TASK_CLASSIFY:
        print("  heatmaps: computed by the model file beside it, in fp32")
