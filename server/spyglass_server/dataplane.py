"""The tasks themselves: an image and a model in, an answer out. Knows no protocol and blocks its caller."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT
from spyglass_contract.errors import FailedPrecondition, InternalError, InvalidInput
from spyglass_contract.images.header import Limits
from spyglass_server.domain import (
    Classification,
    ClassScore,
    ExplainedClass,
    Explanation,
    ModelSelector,
    Refinement,
    Segmentation,
    Target,
    Timing,
)
from spyglass_server.engine.admission import Admission
from spyglass_server.engine.call import Call
from spyglass_server.engine.decoders import Decoded, Decoders, ImageData
from spyglass_server.engine.model import Model
from spyglass_server.engine.repository import Repository
from spyglass_server.engine.scheduler import Answer
from spyglass_server.engine.targets import class_indices
from spyglass_server.heatmaps.drawing import Canvas, Drawing, check_room
from spyglass_server.heatmaps.explain import PREDICTED, Explained
from spyglass_server.heatmaps.explaining import infer_explained
from spyglass_server.masks.segmenting import Segmenting
from spyglass_server.masks.styles import MaskStyle, check_mask_room

_log = logging.getLogger(__name__)

DEFAULT_TOP_K = 5

_NUMBERS = Drawing()
_INDEXED = MaskStyle()


class DataPlane:
    """Answers requests from any number of threads.

    Images are decoded and drawn on `decoders` threads, and inference goes through the model's queue.
    Neither holds a lock that another request needs.
    """

    def __init__(
        self, repository: Repository, admission: Admission, *, decoders: int, limits: Limits
    ) -> None:
        self.repository = repository
        self.admission = admission
        self._decoders = Decoders(decoders, limits)

    def classify(
        self, image: ImageData, *, model: ModelSelector, top_k: int = 0, call: Call | None = None
    ) -> Classification:
        """The `top_k` most probable classes (0: five, or all where there are fewer).

        `image` is a whole file, or upright uint8 [height, width, 1, 3 or 4]. Raises any of
        `spyglass_contract.errors` but ModelError.
        """
        call = call or Call()
        with self.admission.permit(call):
            chosen = self.repository.resolve(model, TASK_CLASSIFY)
            count = _count(top_k, chosen)
            answer, decoded = self._decoders.infer(image, chosen, call, chosen.network.run)
            _check_finite(chosen, answer.output)
            started = time.monotonic()
            classes = best_classes(answer.output, chosen.class_names, count)
            timing = _timing(decoded, answer, started)
        return Classification(classes, chosen.served_by, timing)

    def heatmap(
        self,
        image: ImageData,
        *,
        model: ModelSelector,
        targets: Sequence[Target] = (None,),
        drawing: Drawing = _NUMBERS,
        top_k: int = 0,
        call: Call | None = None,
    ) -> Explanation:
        """Where in the image the model saw each of the `targets`, by one forward pass, and `classify`.

        Of a model whose card says Score-CAM it takes a forward pass for each channel of the feature map.
        Raises what `classify` raises, FailedPrecondition for a model without a heatmap, InvalidInput for
        a class it does not have, and LimitExceeded for more or larger maps than one reply may hold.
        """
        call = call or Call()
        with self.admission.permit(call):
            chosen = self.repository.resolve(model, TASK_CLASSIFY)
            _check_explains(chosen)
            count, asked = _count(top_k, chosen), class_indices(targets, chosen.class_names)
            accept = partial(check_room, drawing=drawing, maps=len(asked))
            answer, decoded = infer_explained(self._decoders, image, chosen, call, asked, accept)
            _check_finite(chosen, answer.output.probabilities, answer.output.maps)
            started = time.monotonic()
            classes = best_classes(answer.output.probabilities, chosen.class_names, count)
            canvas = Canvas(image, decoded.prepared, chosen.card.input, self._decoders.limits)
            draw = partial(_draw, answer.output, asked, chosen, canvas, drawing)
            explained = self._decoders.run(call, draw)
            timing = _timing(decoded, answer, started)
        return Explanation(
            explained=explained,
            classes=classes,
            layer=chosen.card.explained_layer,
            width=canvas.width,
            height=canvas.height,
            box=canvas.box,
            served_by=chosen.served_by,
            timing=timing,
        )

    def segment(
        self,
        image: ImageData,
        *,
        model: ModelSelector,
        style: MaskStyle = _INDEXED,
        refine: Sequence[Refinement] = (),
        soft: int | str | None = None,
        call: Call | None = None,
    ) -> Segmentation:
        """Which class each pixel of the upright image is of, and the probability of the class `soft`.

        Raises what `classify` raises, InvalidInput for a class that the model does not have, and
        LimitExceeded for a mask that is larger, or more refinements, than one request may have.
        """
        call = call or Call()
        with self.admission.permit(call):
            chosen = self.repository.resolve(model, TASK_SEGMENT)
            segmenting = Segmenting.of(chosen.class_names, style, refine, soft)
            accept = partial(check_mask_room, style=style)
            answer, decoded = self._decoders.infer(image, chosen, call, chosen.network.run, accept)
            _check_finite(chosen, answer.output)
            started = time.monotonic()
            canvas = Canvas(image, decoded.prepared, chosen.card.input, self._decoders.limits)
            draw = partial(segmenting.draw, answer.output, canvas)
            mask, classes, soft_map = self._decoders.run(call, draw)
            timing = _timing(decoded, answer, started)
        return Segmentation(
            mask=mask,
            classes=classes,
            soft=soft_map,
            width=canvas.width,
            height=canvas.height,
            box=canvas.box,
            served_by=chosen.served_by,
            timing=timing,
        )

    def close(self) -> None:
        """Ends the decoders and the models, after what they have in hand."""
        self._decoders.close()
        self.repository.close()


def best_classes(
    probabilities: NDArray[np.float32], names: Sequence[str], count: int
) -> tuple[ClassScore, ...]:
    """The `count` highest of float32 [classes], best first; equal ones in the order of their index."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return tuple(_score(int(index), probabilities, names) for index in order)


def _score(index: int, probabilities: NDArray[np.float32], names: Sequence[str]) -> ClassScore:
    return ClassScore(index, names[index], float(probabilities[index]))


def _count(top_k: int, model: Model) -> int:
    classes = len(model.class_names)
    if top_k < 0 or top_k > classes:
        raise InvalidInput(
            f"top_k is {top_k}; {model.card.name} has {classes} classes",
            reason="TOP_K_INVALID",
            field="top_k",
        )
    return top_k or min(DEFAULT_TOP_K, classes)


def _check_explains(model: Model) -> None:
    if not model.card.explained_layer:
        raise FailedPrecondition(
            f"{model.card.name} has no heatmap; `spyglass export` and `spyglass attach-heatmap` put one in",
            reason="HEATMAP_MISSING",
            field="model.name",
        )


def _check_finite(model: Model, *outputs: NDArray[np.float32]) -> None:
    if not all(np.isfinite(output).all() for output in outputs):
        _log.error("%s answered with NaN or infinity", model.card.name)
        raise InternalError("the model gave no finite answer", reason="OUTPUT_NOT_FINITE")


def _draw(
    output: Explained, indices: Sequence[int], model: Model, canvas: Canvas, drawing: Drawing
) -> tuple[ExplainedClass, ...]:
    """Each of the classes `indices` with its map."""
    predicted = int(output.probabilities.argmax())
    return tuple(
        ExplainedClass(
            _score(predicted if index == PREDICTED else index, output.probabilities, model.class_names),
            canvas.draw(values, drawing),
        )
        for index, values in zip(indices, output.maps, strict=True)
    )


def _timing(decoded: Decoded, answer: Answer[Any], encoding_started: float) -> Timing:
    encode_ms = (time.monotonic() - encoding_started) * 1000
    return Timing(decoded.milliseconds, answer.queue_ms, answer.inference_ms, encode_ms, answer.batch_size)
