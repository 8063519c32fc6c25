"""Messages of `spyglass.v1` to domain objects and back."""

from __future__ import annotations

import numpy as np

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import ModelCard, ModelRef, ServedModel
from spyglass.v1.reply_pb2 import ClassScore, MapFrame, ServedBy, Timing
from spyglass_contract.errors import ImageError
from spyglass_contract.images.geometry import Box
from spyglass_server import domain
from spyglass_server.domain import Classification, ModelSelector
from spyglass_server.engine.decoders import ImageData
from spyglass_server.engine.model import Model


def image_of(image: Image) -> ImageData:
    """The file or the uint8 pixels in a message. Raises ImageError where there is neither or it is wrong."""
    source = image.WhichOneof("source")
    if source == "encoded":
        return image.encoded
    if source == "raw":
        return _pixels_of(image.raw)
    raise ImageError("the request has no image", reason="IMAGE_MISSING", field="image")


def _pixels_of(raw: RawImage) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    expected = raw.height * raw.width * raw.channels
    if expected == 0 or len(raw.data) != expected:
        raise ImageError(
            f"{raw.height}x{raw.width}x{raw.channels} pixels and {len(raw.data)} bytes do not go together",
            reason="IMAGE_SHAPE",
            field="image.raw",
        )
    return np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, raw.channels)


def selector_of(ref: ModelRef) -> ModelSelector:
    """The model that a message names. Raises InvalidInput for a version or label without a name."""
    version = ref.version if ref.WhichOneof("selector") == "version" else None
    return ModelSelector(ref.name, version, ref.label)


def classify_response(request: ClassifyRequest, result: Classification) -> ClassifyResponse:
    """The reply to `request`."""
    return ClassifyResponse(
        id=request.id,
        classes=[score_message(entry) for entry in result.classes],
        served_by=served_by_message(result.served_by),
        timing=timing_message(result.timing),
    )


def score_message(score: domain.ClassScore) -> ClassScore:
    return ClassScore(index=score.index, name=score.name, score=score.score)


def frame_message(box: Box, width: int, height: int) -> MapFrame:
    """Where in an image of `width` × `height` pixels the network looked."""
    left, top, right, bottom = box
    return MapFrame(image_width=width, image_height=height, left=left, top=top, right=right, bottom=bottom)


def served_by_message(served_by: domain.ServedBy) -> ServedBy:
    return ServedBy(
        model=served_by.model,
        version=served_by.version,
        sha256=served_by.sha256,
        provider=served_by.provider,
    )


def timing_message(timing: domain.Timing) -> Timing:
    return Timing(
        decode_ms=timing.decode_ms,
        queue_ms=timing.queue_ms,
        inference_ms=timing.inference_ms,
        encode_ms=timing.encode_ms,
        batch_size=timing.batch_size,
    )


def served_model(model: Model, *, is_default: bool) -> ServedModel:
    """How a loaded model is run."""
    return ServedModel(
        name=model.card.name,
        version=model.card.version,
        task=model.card.task,
        sha256=model.served_by.sha256,
        provider=model.served_by.provider,
        is_default=is_default,
        class_count=len(model.card.class_names),
        workers=model.resources.workers,
        threads_per_worker=model.resources.threads_per_worker,
        max_batch=model.max_batch,
    )


def card_message(card: ModelCard, *, with_golden: bool) -> ModelCard:
    """The card as it travels: the golden images and tensors only where they were asked for."""
    sent = ModelCard()
    sent.CopyFrom(card)
    if not with_golden:
        sent.certificate.ClearField("images")
        sent.certificate.ClearField("tensors")
    return sent
