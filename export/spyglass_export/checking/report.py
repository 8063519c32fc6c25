"""The folder that the check leaves: report.md with its images, and report.json with every number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from spyglass_export.checking.check import HEATMAP, RIVALS
from spyglass_export.checking.plots import draw_curves, draw_maps, draw_randomisation
from spyglass_export.checking.summary import CURVES, Checked, mean_of

_HOW_CURVES = """\
The pixels of each image, as the network takes it, in the order of the map: the hottest first, equal ones
by chance. Deletion paints them in the image's mean colour, and the probability of the predicted class
should fall soon: **less is better**. Insertion puts them into the image blurred (σ of 5/224 of the shorter
side), and it should rise soon: **more is better** (Petsiuk et al. 2018). `chance` is the mean over
four maps of noise of the feature map's size, `centre` a Gaussian in the middle; neither looks at the
image. A heatmap that does not beat them explains nothing here."""

_HOW_RANDOMISATION = """\
The numbers in the weights are shuffled, layer after layer from the answer down, and the same class is
explained again (Adebayo et al. 2018). A heatmap that shows what the model learned has nothing to do with it
any more at the end: a rank correlation near 0. One that stays alike shows the image and not the model.
SSIM is seldom near 0 for maps so smooth; it is there for its course. A map that is the same everywhere has
no ranks, and is left out of their mean."""


def write_report(checked: Checked, folder: Path) -> Path:
    """Writes report.md, report.json and three PNG files into `folder`. The path of report.md."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_curves(checked, folder / "curves.png")
    draw_randomisation(checked, folder / "randomisation.png")
    draw_maps(checked, folder / "maps.png")
    (folder / "report.json").write_text(json.dumps(checked.to_dict(), indent=2) + "\n", encoding="utf-8")
    report = folder / "report.md"
    # Names of files may hold bytes that are no text.
    text = "\n\n".join(_sections(checked)) + "\n"
    report.write_text(text, encoding="utf-8", errors="backslashreplace")
    return report


def _sections(checked: Checked) -> Iterable[str]:
    card = checked.card
    yield f"# Can the heatmaps of {card.name}:{card.version} be trusted?"
    yield (
        f"{_images(len(checked.images))}, the predicted class of each; {checked.steps} steps, "
        f"seed {checked.seed}. Method {card.heatmap_method or 'gradcam'}, layer `{card.explained_layer}`, "
        f"file {checked.sha256}."
    )
    if checked.skipped:
        yield "Left out, because they cannot be read:"
        yield "\n".join(f"- {name}: {reason}" for name, reason in checked.skipped)
    yield "## Deletion and insertion"
    yield _HOW_CURVES
    yield _table(("mean area", *CURVES), _areas(checked))
    yield "![the mean curves](curves.png)"
    yield _table(("image", "class", "probability", *CURVES), _of_images(checked))
    yield "## Without what was learned"
    yield _HOW_RANDOMISATION
    yield _table(("layers randomised", "down to", "rank correlation", "SSIM", "no ranks"), _stages(checked))
    yield "![likeness after each stage](randomisation.png)"
    yield "![images, heatmaps, and heatmaps after each stage](maps.png)"


def _areas(checked: Checked) -> Iterable[Sequence[str]]:
    yield HEATMAP, *(f"{checked.mean_auc(curve, HEATMAP):.3f}" for curve in CURVES)
    total = len(checked.images)
    for rival in RIVALS:
        yield (
            rival,
            *(
                f"{checked.mean_auc(curve, rival):.3f}; beaten in {checked.wins(curve, rival)} of {total}"
                for curve in CURVES
            ),
        )


def _of_images(checked: Checked) -> Iterable[Sequence[str]]:
    for image in checked.images:
        found = image.curves[HEATMAP]
        yield (
            image.subject.name,
            checked.card.class_names[image.class_index],
            f"{image.probability:.3f}",
            f"{found.deletion_auc:.3f}",
            f"{found.insertion_auc:.3f}" + ("" if image.heatmap.any() else " (a map of zeros)"),
        )


def _stages(checked: Checked) -> Iterable[Sequence[str]]:
    for stage in checked.stages:
        means = (mean_of(stage.rank_correlations), mean_of(stage.structural_similarities))
        shown = ("–" if mean is None else f"{mean:.3f}" for mean in means)
        yield str(stage.layers), f"`{stage.lowest}`", *shown, str(stage.rank_correlations.count(None))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _images(count: int) -> str:
    return "One image" if count == 1 else f"{count} images"
