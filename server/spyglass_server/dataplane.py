"""The tasks themselves: a picture and a model in, an answer out. Knows no protocol and blocks its caller."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_CLASSIFY
from spyglass_contract.errors import Cancelled, DeadlineExceeded, InternalError, InvalidInput
from spyglass_contract.header import Limits
from spyglass_contract.pixels import prepare
from spyglass_server.admission import Admission
from spyglass_server.call import Call
from spyglass_server.domain import Classification, ClassScore, ModelSelector, Timing
from spyglass_server.model import Model
from spyglass_server.repository import Repository
from spyglass_server.scheduler import Answer

_log = logging.getLogger(__name__)

DEFAULT_TOP_K = 5

Picture = bytes | NDArray[np.uint8]


class DataPlane:
    """Answers requests from any number of threads.

    Pictures are decoded on `decoders` threads, so that a hundred that wait do not fight over the cores, and
    inference goes through the model's queue. Neither holds a lock that another request needs.
    """

    def __init__(
        self, repository: Repository, admission: Admission, *, decoders: int, limits: Limits
    ) -> None:
        self.repository = repository
        self.admission = admission
        self._limits = limits
        self._decoders = ThreadPoolExecutor(decoders, "decoder")

    def classify(
        self, picture: Picture, *, model: ModelSelector, top_k: int = 0, call: Call | None = None
    ) -> Classification:
        """The `top_k` most probable classes (0: five, or all where there are fewer).

        `picture` is a whole file, or upright uint8 [height, width, 1, 3 or 4]. Raises any of
        `spyglass_contract.errors` but ModelError.
        """
        call = call or Call()
        with self.admission.permit(call):
            chosen = self.repository.resolve(model, TASK_CLASSIFY)
            count = _count(top_k, chosen)
            answer, decode_ms = self._infer(picture, chosen, call)
            _check_finite(answer, chosen)
            started = time.monotonic()
            classes = best_classes(answer.output, chosen.class_names, count)
            encode_ms = _since(started)
        timing = Timing(decode_ms, answer.queue_ms, answer.inference_ms, encode_ms, answer.batch_size)
        return Classification(classes, chosen.served_by, timing)

    def close(self) -> None:
        """Ends the decoders and the models, after what they have in hand."""
        self._decoders.shutdown()
        self.repository.close()

    def _infer(self, picture: Picture, model: Model, call: Call) -> tuple[Answer, float]:
        """The answer, and the milliseconds of decoding; its caller wakes once, when both are there."""
        answered: Future[Answer] = Future()
        decoded = self._decoders.submit(self._decode, picture, model, call, answered)
        try:
            return call.wait(answered), decoded.result()
        except (Cancelled, DeadlineExceeded):
            # The caller is gone, its picture is not: the permit is held until no decoder has or awaits it.
            wait([decoded])
            raise

    def _decode(self, picture: Picture, model: Model, call: Call, answered: Future[Answer]) -> float:
        """Brings the picture into the model's queue; what goes wrong goes to `answered`."""
        started = time.monotonic()
        try:
            call.remaining()
            pixels = prepare(picture, model.card.input, self._limits).pixels
            decode_ms = _since(started)
            model.submit(pixels, call, answered)
        except Exception as error:
            if answered.set_running_or_notify_cancel():
                answered.set_exception(error)
            return 0.0
        return decode_ms


def best_classes(
    probabilities: NDArray[np.float32], names: Sequence[str], count: int
) -> tuple[ClassScore, ...]:
    """The `count` highest of float32 [classes], best first; equal ones in the order of their index."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return tuple(ClassScore(int(index), names[index], float(probabilities[index])) for index in order)


def _count(top_k: int, model: Model) -> int:
    classes = len(model.class_names)
    if top_k < 0 or top_k > classes:
        raise InvalidInput(
            f"top_k is {top_k}; {model.card.name} has {classes} classes",
            reason="TOP_K_INVALID",
            field="top_k",
        )
    return top_k or min(DEFAULT_TOP_K, classes)


def _check_finite(answer: Answer, model: Model) -> None:
    if not np.isfinite(answer.output).all():
        _log.error("%s answered with NaN or infinity", model.card.name)
        raise InternalError("the model gave no finite answer", reason="OUTPUT_NOT_FINITE")


def _since(started: float) -> float:
    """Milliseconds."""
    return (time.monotonic() - started) * 1000
