"""What the data plane answers in this process, as it would come back over the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spyglass_client import (
    AnsweringModel,
    Classification,
    ClassScore,
    Heatmap,
    Segmentation,
    SegmentedClass,
    Timing,
)

if TYPE_CHECKING:
    from spyglass_server import domain


def read_classification(answer: domain.Classification) -> Classification:
    return Classification(_scores(answer), _model(answer.served_by), _timing(answer.timing))


def read_heatmap(answer: domain.Explanation, image: bytes) -> Heatmap:
    """`answer` has feature maps, as float32."""
    first, *further = (
        Heatmap(
            classes=_scores(answer),
            model=_model(answer.served_by),
            timing=_timing(answer.timing),
            target=_score(explained.target),
            feature_map=_values(explained.heatmap),
            layer=answer.layer,
            width=answer.width,
            height=answer.height,
            box=answer.box,
            image=image,
        )
        for explained in answer.explained
    )
    return replace(first, further=tuple(further))


def read_segmentation(answer: domain.Segmentation, image: bytes) -> Segmentation:
    """`answer` has a palette PNG of the image's size."""
    classes = tuple(
        SegmentedClass(entry.index, entry.name, entry.pixels, entry.fraction, entry.mean_score, entry.color)
        for entry in answer.classes
    )
    soft = answer.soft
    return Segmentation(
        classes=classes,
        model=_model(answer.served_by),
        timing=_timing(answer.timing),
        png=answer.mask.data,
        shape=(answer.mask.height, answer.mask.width),
        soft_png=soft.data if soft else None,
        soft_class=classes[soft.class_index] if soft else None,
        width=answer.width,
        height=answer.height,
        box=answer.box,
        image=image,
    )


def _scores(answer: domain.Classification | domain.Explanation) -> tuple[ClassScore, ...]:
    return tuple(_score(entry) for entry in answer.classes)


def _score(score: domain.ClassScore) -> ClassScore:
    return ClassScore(score.index, score.name, score.score)


def _model(served_by: domain.ServedBy) -> AnsweringModel:
    return AnsweringModel(served_by.model, served_by.version, served_by.sha256, served_by.provider)


def _timing(timing: domain.Timing) -> Timing:
    return Timing(timing.decode_ms, timing.queue_ms, timing.inference_ms, timing.encode_ms, timing.batch_size)


def _values(drawn: domain.DrawnMap) -> NDArray[np.float32]:
    return np.frombuffer(drawn.data, "<f4").reshape(drawn.height, drawn.width)
