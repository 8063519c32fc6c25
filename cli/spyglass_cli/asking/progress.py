"""A progress bar on standard error, where someone is there to see it."""

from __future__ import annotations

import sys

from spyglass_cli.asking.outcomes import Outcomes

# So few images are answered before a bar is read.
_FEW = 4


def with_progress(outcomes: Outcomes, count: int, *, in_the_way: bool) -> Outcomes:
    """The same outcomes; `in_the_way` says that something else writes to the terminal meanwhile."""
    if count <= _FEW or in_the_way or not sys.stderr.isatty():
        return outcomes
    return _counted(outcomes, count)


def _counted(outcomes: Outcomes, count: int) -> Outcomes:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(outcomes, total=count, description="images")
