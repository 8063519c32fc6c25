"""The report of a run on one page."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spyglass.v1.model_pb2 import TASK_SEGMENT
from spyglass_contract.model.run_folder import RunFolder, RunRecord
from spyglass_training.datasets.dataset import Split
from spyglass_training.datasets.omissions import left_out_lines
from spyglass_training.report.confusion import draw_confusion
from spyglass_training.report.evaluation import Evaluation
from spyglass_training.report.mistakes import draw_masks, draw_mistakes, worst_mistakes


def write_report(record: RunRecord, evaluation: Evaluation, test: Split, folder: RunFolder) -> None:
    """Draw the predictions on the test part, and write `report.md` with the drawings."""
    draw_confusion(evaluation.confusion, record.class_names, folder.confusion)
    if record.task == TASK_SEGMENT:
        draw_masks(test, evaluation, folder.worst)
        worst = "Image, true mask and predicted mask, from the worst prediction to the best:"
    else:
        draw_mistakes(test, evaluation, record.class_names, folder.worst)
        count = len(worst_mistakes(evaluation, test.labels))
        worst = f"The {count} worst mistakes, by ascending probability of the true class:"
    sections = (_head(record), _figures(record), _classes(record, evaluation), _images(folder, worst))
    folder.report.write_text("\n".join(line for section in sections for line in section), encoding="utf-8")


def _head(record: RunRecord) -> Iterator[str]:
    yield f"# {record.architecture} on {record.data.name}\n"
    yield f"{record.description} {record.parameters:,} parameters.\n"
    yield f"Trained in {record.seconds:.0f} s, {record.created}.\n"
    yield f"Data: {record.data.name}, {record.data.licence}, sha256 `{record.data.sha256}`.\n"
    notes = [*(f"Warning: {warning}." for warning in record.data_warnings), *left_out_lines(record.left_out)]
    if notes:
        yield "\n".join(f"- {note}" for note in notes) + "\n"


def _figures(record: RunRecord) -> Iterator[str]:
    yield "| on the test part | |\n|---|---|"
    yield from (f"| {name.removeprefix('test_')} | {value:.4f} |" for name, value in record.metrics.items())
    yield "\n| option | |\n|---|---|"
    yield from (f"| {name} | {value} |" for name, value in record.options.items())
    yield ""


def _classes(record: RunRecord, evaluation: Evaluation) -> Iterator[str]:
    unit = "pixels" if record.task == TASK_SEGMENT else "images"
    yield f"| class | {unit} | recall | precision | IoU |\n|---|---|---|---|---|"
    counts = evaluation.confusion.sum(axis=1)
    ratios = (evaluation.recall, evaluation.precision, evaluation.intersection_over_union)
    for name, count, *row in zip(record.class_names, counts, *ratios, strict=True):
        figures = " | ".join("–" if np.isnan(ratio) else f"{ratio:.4f}" for ratio in row)
        yield f"| {name} | {count:,} | {figures} |"
    yield ""


def _images(folder: RunFolder, worst: str) -> Iterator[str]:
    yield f"![loss and accuracy over the epochs]({folder.curves.name})\n"
    yield f"True classes downwards, predicted ones across:\n\n![confusion matrix]({folder.confusion.name})\n"
    yield f"{worst}\n\n![test images]({folder.worst.name})\n"
