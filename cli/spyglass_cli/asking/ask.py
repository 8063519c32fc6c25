"""One outcome for each source, from any client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat

from spyglass_cli.asking.outcomes import Outcome, Outcomes, Result
from spyglass_cli.asking.query import Query
from spyglass_cli.asking.sources import Source
from spyglass_client import Client, Failure, SpyglassError
from spyglass_contract.errors import InvalidInput


def ask(open_client: Callable[[], Client], sources: Sequence[Source], query: Query) -> Outcomes:
    """Yield one outcome for each source, in their order, as the results come.

    An error that ends the stream becomes the outcome of every image that has no result by then. Raises
    InvalidInput if the query itself is invalid.
    """
    images = (source.image() for source in sources if source.error is None)
    with open_client() as client:
        results = _send(query, client, images)
        steady = _with_final_error(results)
        for source in sources:
            yield Outcome(source.path, Failure(source.error) if source.error else next(steady))
        # There is no further result, but a call that is not read to its end counts as cancelled.
        next(results, None)


def _send(query: Query, client: Client, images: Iterable[str | bytes]) -> Iterator[Result]:
    """Yield the results; an error before the first one is the result of every image."""
    try:
        return query.send(client, images)
    except InvalidInput:
        raise
    except SpyglassError as error:
        return repeat(Failure(error))


def _with_final_error(results: Iterator[Result]) -> Iterator[Result]:
    """Yield the results, and after an error that ended them its failure, again and again."""
    try:
        yield from results
    except SpyglassError as error:
        yield from repeat(Failure(error))
