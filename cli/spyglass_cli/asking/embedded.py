"""Asking the bundled models in this process, by the server's own data plane."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from spyglass_cli.asking.embedded_answers import read_classification, read_heatmap, read_segmentation
from spyglass_cli.asking.outcomes import Answer, Outcome, Outcomes
from spyglass_cli.asking.query import Question, SegmentQuestion
from spyglass_cli.asking.sources import Source
from spyglass_cli.flags.extras import require
from spyglass_client import Classification, Failure, Refinement, Segmentation, SpyglassError
from spyglass_contract.model.names import model_ref

if TYPE_CHECKING:
    from spyglass_server import domain
    from spyglass_server.embedded import Embedded

# Images begun for each processor and not yet reported: one that takes long does not idle the others.
_AHEAD = 4


def ask_here(sources: Sequence[Source], question: Question) -> Outcomes:
    """One outcome for each source, in their order; as many images at a time as there are processors.

    Raises MissingExtra, InvalidInput where the question itself cannot be asked, and ModelError.
    """
    require("server", "onnxruntime")
    if isinstance(question, SegmentQuestion) and question.refine:
        require("server", "scipy")
    print("no server given: using the bundled models in this process", file=sys.stderr)
    from spyglass_server.embedded import open_embedded
    from spyglass_server.engine.processors import usable_cpus

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
        return _ask(embedded, source.read(), selector, question)
    except SpyglassError as error:
        return Failure(error)


def _ask(
    embedded: Embedded, image: bytes, selector: domain.ModelSelector, question: Question
) -> Classification | Segmentation:
    if isinstance(question, SegmentQuestion):
        refine = [_refinement(entry) for entry in question.refine]
        mask = embedded.segment(
            image, model=selector, refine=refine, soft=question.soft, timeout=question.timeout
        )
        return read_segmentation(mask, image)
    top_k, targets = question.top_k or 0, question.targets
    if targets:
        explanation = embedded.heatmap(
            image, model=selector, targets=targets, top_k=top_k, timeout=question.timeout
        )
        return read_heatmap(explanation, image)
    return read_classification(
        embedded.classify(image, model=selector, top_k=top_k, timeout=question.timeout)
    )


def _refinement(refinement: Refinement) -> domain.Refinement:
    from spyglass_server import domain

    return domain.Refinement(refinement.target, refinement.largest_component, refinement.fill_holes)


def _selector(model: str) -> domain.ModelSelector:
    from spyglass_server.domain import ModelSelector

    ref = model_ref(model)
    return ModelSelector(ref.name, ref.version or None, ref.label)
