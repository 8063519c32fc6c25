"""A progress bar on standard error, if that is a terminal."""

from __future__ import annotations

import sys

from spyglass_cli.asking.outcomes import Outcomes

# With so few images a bar is gone before anyone reads it.
_FEW = 4


def with_progress(outcomes: Outcomes, count: int, *, in_the_way: bool) -> Outcomes:
    """Return the same outcomes; `in_the_way`: other output goes to the terminal at the same time."""
    if count <= _FEW or in_the_way or not sys.stderr.isatty():
        return outcomes
    return _counted(outcomes, count)


def _counted(outcomes: Outcomes, count: int) -> Outcomes:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(outcomes, total=count, description="images")
