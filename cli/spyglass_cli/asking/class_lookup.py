"""The classes that a command line names: a text of digits may be a name or an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from spyglass_client import Client
from spyglass_contract.model.class_names import may_be_index, name_or_index

Target = int | str


def looked_up(
    client: Client, model: str, task: Literal["classify", "segment"], targets: Sequence[Target | None]
) -> list[Target | None]:
    """Return the targets; a text of digits is a name if a class of the model has this name, else an index.

    Asks the server for the class names, once, only if there is such a text. Raises InvalidInput if a text is
    the name of one class and the index of another, and SpyglassError if the server does not respond.
    """
    if not any(isinstance(target, str) and may_be_index(target) for target in targets):
        return list(targets)
    names = _class_names(client, model, task)
    return [name_or_index(target, names) if isinstance(target, str) else target for target in targets]


def _class_names(client: Client, model: str, task: str) -> Sequence[str]:
    """Return the class names of a model; empty: the default model of the task, if there is one."""
    defaults = (
        f"{served.name}:{served.version}"
        for served in (() if model else client.models())
        if served.is_default and served.task == task
    )
    name = model or next(defaults, "")
    return tuple(client.model(name).card.class_names) if name else ()
