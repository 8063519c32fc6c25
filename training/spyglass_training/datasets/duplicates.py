"""Warnings about images that a data set has more than once: they make its test results worth less."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from spyglass_training.datasets.example import Example
from spyglass_training.datasets.parts import TRAIN, VALIDATION

# Maximum number of examples in a warning.
_EXAMPLES = 2


def duplicate_warnings(
    parts: Mapping[str, Sequence[Example]], class_names: Sequence[str], repeated: Sequence[Sequence[int]]
) -> list[str]:
    """Return one sentence each about images in two parts and about images under two labels.

    `repeated` has, for each content that several images share, the indices of these images in the parts one
    after the other. Two images are the same if their files are the same to the byte.
    """
    members = [(part, image) for part, images in parts.items() for image in images]
    groups = [[members[index] for index in indices] for indices in repeated]
    warnings = [*_in_two_parts(groups), *_under_two_labels(groups, class_names)]
    return warnings if VALIDATION in parts else [*warnings, *_in_one_part(groups)]


def _in_one_part(groups: Sequence[Sequence[tuple[str, Example]]]) -> Iterator[str]:
    """Yield the warning about images that a validation part, cut off at random, may share with the rest."""
    shared = [names for group in groups if len(names := _names(group, TRAIN)) > 1]
    if shared:
        examples = "; ".join(" = ".join(names[:2]) for names in shared[:_EXAMPLES])
        yield (
            f"{_images(len(shared))} more than once in the part {TRAIN}, off which the validation part is "
            f"cut, such as {examples}"
        )


def _names(group: Sequence[tuple[str, Example]], part: str) -> list[str]:
    return [image.name for member, image in group if member == part]


def _in_two_parts(groups: Sequence[Sequence[tuple[str, Example]]]) -> Iterator[str]:
    shared = [group for group in groups if len({part for part, _ in group}) > 1]
    if not shared:
        return
    pairs = Counter(
        pair
        for group in shared
        for pair in itertools.combinations(dict.fromkeys(part for part, _ in group), 2)
    )
    counts = ", ".join(f"{count:,} in {first} and {second}" for (first, second), count in pairs.items())
    examples = "; ".join(
        " = ".join({part: f"{image.name} in {part}" for part, image in group}.values())
        for group in shared[:_EXAMPLES]
    )
    yield f"{_images(len(shared))} in more than one part: {counts}, such as {examples}"


def _under_two_labels(
    groups: Sequence[Sequence[tuple[str, Example]]], class_names: Sequence[str]
) -> Iterator[str]:
    shared = [group for group in groups if len({image.label for _, image in group}) > 1]
    if not shared:
        return
    examples = "; ".join(
        " = ".join(
            {image.label: f"{image.name} as {class_names[image.label]}" for _, image in group}.values()
        )
        for group in shared[:_EXAMPLES]
    )
    yield f"{_images(len(shared))} under more than one label, such as {examples}"


def _images(count: int) -> str:
    return "1 image is" if count == 1 else f"{count:,} images are"
