"""Asking a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat

from spyglass_cli.asking.outcomes import Answer, Outcome, Outcomes
from spyglass_cli.asking.query import Question, SegmentQuestion
from spyglass_cli.asking.sources import Source
from spyglass_client import Client, Failure, SpyglassError


def ask_server(open_client: Callable[[], Client], sources: Sequence[Source], question: Question) -> Outcomes:
    """One outcome for each source, in their order, as the answers come.

    What ends the stream is what came of all that had no answer by then. Raises InvalidInput where the
    question itself cannot be asked.
    """
    images = (source.image() for source in sources if source.error is None)
    with open_client() as client:
        yield from _match(sources, _answers(client, images, question))


def _answers(client: Client, images: Iterator[str | bytes], question: Question) -> Iterator[Answer]:
    if isinstance(question, SegmentQuestion):
        return client.segment_many(
            images,
            model=question.model,
            refine=question.refine,
            soft=question.soft,
            timeout=question.timeout,
        )
    if not question.targets:
        return client.classify_many(
            images, model=question.model, top_k=question.top_k, timeout=question.timeout
        )
    target, *further = question.targets
    return client.heatmap_many(
        images,
        target=target,
        further=[entry for entry in further if entry is not None],
        model=question.model,
        top_k=question.top_k,
        timeout=question.timeout,
    )


def _match(sources: Sequence[Source], answers: Iterator[Answer]) -> Outcomes:
    steady = _until_the_end(answers)
    for source in sources:
        yield Outcome(source.path, Failure(source.error) if source.error else next(steady))
    # There is no further answer, but a call that is left before its end counts as cancelled.
    next(answers, None)


def _until_the_end(answers: Iterator[Answer]) -> Iterator[Answer]:
    """The answers, and then, for ever, the error that ended them."""
    try:
        yield from answers
    except SpyglassError as error:
        yield from repeat(Failure(error))
