"""The report folder of a check: report.md with its plots, and report.json with every number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from spyglass_export.checking.check import BASELINES, HEATMAP
from spyglass_export.checking.curves import CURVES
from spyglass_export.checking.plots import draw_curves, draw_maps, draw_randomisation
from spyglass_export.checking.summary import Checked, mean_of

_ABOUT_CURVES = """\
Each curve changes the pixels of the network's input in the order of a map: the hottest first, equal ones in
random order. Deletion paints them in the image's mean colour, and the probability of the predicted class
should fall early: **less is better**. Insertion puts them into the blurred image (σ of 5/224 of the shorter
side), and the probability should rise early: **more is better** (Petsiuk et al. 2018). `chance` is the mean
over four maps of noise of the feature map's size, `centre` is a Gaussian in the middle; both ignore the
image. A heatmap that does not beat them explains nothing here."""

_ABOUT_RANDOMISATION = """\
The numbers in the weights are shuffled, layer after layer beginning at the output, and the same class is
explained again (Adebayo et al. 2018). If a heatmap shows what the model learned, the last one is unrelated
to it: a rank correlation near 0. If a heatmap stays the same, it shows the image and not the model. SSIM is
seldom near 0 for such smooth maps; only its trend matters. A map that is the same everywhere has no ranks,
and is left out of the mean."""


def write_report(checked: Checked, folder: Path) -> Path:
    """Write report.md, report.json and three PNG files into `folder`, and return the path of report.md."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_curves(checked, folder / "curves.png")
    draw_randomisation(checked, folder / "randomisation.png")
    draw_maps(checked, folder / "maps.png")
    (folder / "report.json").write_text(json.dumps(checked.to_dict(), indent=2) + "\n", encoding="utf-8")
    report = folder / "report.md"
    # File names may hold bytes that are not text.
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
        yield "These images could not be read and are left out:"
        yield "\n".join(f"- {name}: {reason}" for name, reason in checked.skipped)
    yield "## Deletion and insertion"
    yield _ABOUT_CURVES
    yield _table(("mean area", *CURVES), _areas(checked))
    yield "![the mean curves](curves.png)"
    yield _table(("image", "class", "probability", *CURVES), _of_images(checked))
    yield "## Weight randomisation"
    yield _ABOUT_RANDOMISATION
    yield _table(("layers randomised", "down to", "rank correlation", "SSIM", "no ranks"), _stages(checked))
    yield "![similarity after each stage](randomisation.png)"
    yield "![images, heatmaps, and heatmaps after each stage](maps.png)"


def _areas(checked: Checked) -> Iterable[Sequence[str]]:
    yield HEATMAP, *(f"{checked.mean_auc(curve, HEATMAP):.3f}" for curve in CURVES)
    total = len(checked.images)
    for name in BASELINES:
        yield (
            name,
            *(
                f"{checked.mean_auc(curve, name):.3f}; beaten in {checked.wins(curve, name)} of {total}"
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
