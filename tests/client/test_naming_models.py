"""Model references: NAME, NAME:VERSION, NAME@LABEL."""

from __future__ import annotations

import pytest

from spyglass.v1.model_pb2 import ModelRef
from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.names import model_ref


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("", ModelRef()),
        ("imagenet", ModelRef(name="imagenet")),
        ("imagenet:12", ModelRef(name="imagenet", version=12)),
        ("mnist-convnet@stable", ModelRef(name="mnist-convnet", label="stable")),
    ],
)
def test_a_model_is_named_with_or_without_version_or_label(text: str, ref: ModelRef) -> None:
    assert model_ref(text) == ref


@pytest.mark.parametrize(
    "text", [":1", "@stable", "a:", "a@", "a:0", "a:-1", "a:x", "a:1:2", "a@b@c", "a b", "a:" + "9" * 30]
)
def test_an_invalid_model_reference_is_rejected_before_anything_is_sent(text: str) -> None:
    with pytest.raises(InvalidInput, match="NAME:VERSION or NAME@LABEL") as caught:
        model_ref(text)
    assert caught.value.field == "model"
