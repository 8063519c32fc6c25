"""Scopes: their grammar, and what they allow."""

from __future__ import annotations

import pytest

from spyglass_server.access.scopes import Scopes


def test_globs_allow_models_by_name_and_nothing_else() -> None:
    scopes = Scopes.parse(["classify", "model:imagenet", "model:team-*"])

    assert [scopes.allows_model(name) for name in ("imagenet", "team-a", "team-")] == [True] * 3
    assert [scopes.allows_model(name) for name in ("imagenet2", "Imagenet", "my-team-a", "")] == [False] * 4
    assert not scopes.all_models
    assert Scopes.parse(["segment", "model:*"]).all_models


def test_no_scope_includes_another_one() -> None:
    scopes = Scopes.parse(["admin"])

    assert scopes.admin
    assert not scopes.tasks
    assert not scopes.allows_model("imagenet")
    assert not Scopes.parse(["classify", "model:*"]).admin


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["classify"], "add model:GLOB"),
        (["model:a"], "add classify or segment or heatmap"),
        (["admin", "model:a"], "add classify or segment or heatmap"),
        ([], "no scope"),
        (["clasify", "model:*"], "not 'clasify'"),
        (["classify", "model:"], "not 'model:'"),
        (["classify", "model:a b"], "not 'model:a b'"),
        (["classify", "model:[a-z]"], r"not 'model:\[a-z\]'"),
    ],
)
def test_scopes_that_allow_nothing_or_are_unknown_are_rejected(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scopes.parse(texts)
