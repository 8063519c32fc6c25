"""Asking the bundled models in this process, by the server's own data plane."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spyglass_cli.extras import require
from spyglass_cli.outcomes import Outcome, Outcomes
from spyglass_cli.question import Question
from spyglass_cli.sources import Source
from spyglass_client import (
    Answer,
    AnsweringModel,
    Classification,
    ClassScore,
    Failure,
    Heatmap,
    SpyglassError,
    Timing,
)
from spyglass_contract.model_names import model_ref

if TYPE_CHECKING:
    from spyglass_server import domain
    from spyglass_server.embedded import Embedded

# Pictures begun for each processor and not yet reported: one that takes long does not idle the others.
_AHEAD = 4


def ask_here(sources: Sequence[Source], question: Question) -> Outcomes:
    """One outcome for each source, in their order; as many pictures at a time as there are processors.

    Raises MissingExtra, InvalidInput where the question itself cannot be asked, and ModelError.
    """
    require("server", "onnxruntime")
    print("no server given: using the bundled models in this process", file=sys.stderr)
    from spyglass_server.cpus import usable_cpus
    from spyglass_server.embedded import open_embedded

    selector = _selector(question.model)
    with open_embedded() as embedded, ThreadPoolExecutor(usable_cpus()) as pool:
        under_way: deque[tuple[Source, Future[Answer]]] = deque()
        try:
            for source in sources:
                under_way.append((source, pool.submit(_answer, embedded, source, selector, question)))
                if len(under_way) >= _AHEAD * usable_cpus():
                    yield _outcome(*under_way.popleft())
            while under_way:
                yield _outcome(*under_way.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _outcome(source: Source, answer: Future[Answer]) -> Outcome:
    return Outcome(source.path, answer.result())


def _answer(embedded: Embedded, source: Source, selector: domain.ModelSelector, question: Question) -> Answer:
    if source.error:
        return Failure(source.error)
    try:
        picture = source.read()
        if question.targets:
            return _heatmap(embedded, picture, selector, question)
        answer = embedded.classify(
            picture, model=selector, top_k=question.top_k or 0, timeout=question.timeout
        )
    except SpyglassError as error:
        return Failure(error)
    return Classification(*_common(answer))


def _heatmap(
    embedded: Embedded, picture: bytes, selector: domain.ModelSelector, question: Question
) -> Heatmap:
    answer = embedded.heatmap(
        picture,
        model=selector,
        targets=question.targets,
        top_k=question.top_k or 0,
        timeout=question.timeout,
    )
    first, *further = (
        Heatmap(
            *_common(answer),
            target=_score(explained.target),
            feature_map=_values(explained.heatmap),
            layer=answer.layer,
            width=answer.width,
            height=answer.height,
            box=answer.box,
            picture=picture,
        )
        for explained in answer.explained
    )
    return replace(first, further=tuple(further))


def _selector(model: str) -> domain.ModelSelector:
    from spyglass_server.domain import ModelSelector

    ref = model_ref(model)
    return ModelSelector(ref.name, ref.version or None, ref.label)


def _common(
    answer: domain.Classification | domain.Explanation,
) -> tuple[tuple[ClassScore, ...], AnsweringModel, Timing]:
    """What every answer has, as it comes back over the wire."""
    served_by, timing = answer.served_by, answer.timing
    return (
        tuple(_score(entry) for entry in answer.classes),
        AnsweringModel(served_by.model, served_by.version, served_by.sha256, served_by.provider),
        Timing(timing.decode_ms, timing.queue_ms, timing.inference_ms, timing.encode_ms, timing.batch_size),
    )


def _score(score: domain.ClassScore) -> ClassScore:
    return ClassScore(score.index, score.name, score.score)


def _values(drawn: domain.DrawnMap) -> NDArray[np.float32]:
    return np.frombuffer(drawn.data, "<f4").reshape(drawn.height, drawn.width)
