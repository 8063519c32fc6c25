"""Class names as text and as the JSON of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spyglass_contract.errors import InvalidInput
from spyglass_export.adopting import class_names
from spyglass_export.adopting.class_names import read_class_names

NAMES = ["cat", "dog", "grey wolf"]

READ: dict[str, bytes] = {
    "lines.txt": b"cat\ndog\ngrey wolf\n",
    "windows.txt": b"\xef\xbb\xbfcat\r\ndog\r\ngrey wolf\r\n\r\n",
    "mac.txt": b"cat\rdog\rgrey wolf",
    "utf16.txt": "cat\r\ndog\r\ngrey wolf\r\n".encode("utf-16"),
    "list.json": json.dumps(NAMES).encode(),
    "list.txt": json.dumps(NAMES, indent=1).encode(),
    "bom.json": b"\xef\xbb\xbf" + json.dumps(NAMES).encode(),
    "by_index.json": json.dumps({"2": "grey wolf", "0": "cat", "1": "dog"}).encode(),
    "by_name.json": json.dumps({"dog": 1, "grey wolf": 2, "cat": 0}).encode(),
    "config.json": json.dumps(
        {"model_type": "vit", "id2label": dict(enumerate(NAMES)), "label2id": {"cat": 0}}
    ).encode(),
    "imagenet.json": json.dumps({"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "grey wolf"]}).encode(),
}


@pytest.mark.parametrize("form", READ)
def test_every_form_gives_the_names_in_the_order_of_the_outputs(form: str, tmp_path: Path) -> None:
    (tmp_path / form).write_bytes(READ[form])
    assert read_class_names(tmp_path / form) == NAMES


def test_a_line_may_hold_brackets_and_other_separators(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes("[unknown]\ncat\x0bfish\nd\u2028og".encode())
    assert read_class_names(tmp_path / "names.txt") == ["[unknown]", "cat\x0bfish", "d\u2028og"]


BAD: dict[str, tuple[bytes, str]] = {
    "gap.json": (b'{"0": "cat", "2": "dog"}', "must be numbered 0 to 1, each once; 1 is missing"),
    "twice.json": (b'{"cat": 0, "dog": 0}', "gives class 0 two names"),
    "double.json": (b'{"0": "cat", "00": "dog"}', "must be numbered 0 to 1, each once"),
    "null.json": (b'["cat", null]', "class 1 in"),
    "empty.json": (b'["cat", " "]', "class 1 in"),
    "number.json": (b"3", "must be a list of names, an object from index to name"),
    "other.json": (b'{"architectures": ["ViT"]}', "must be a list of names, an object from index to name"),
    "cut.json": (b'["cat", ', "is not valid JSON"),
    "deep.json": (b"[" * 200_000, "is not valid JSON"),
    "huge_index.json": (b'{"0": "cat", "9999999999999": "dog"}', "must be numbered 0 to 1"),
    "latin.txt": (b"caf\xe9\ndog", "is not text in UTF-8"),
    "gap.txt": (b"cat\n\ndog", "line 2 of"),
}


@pytest.mark.parametrize("form", BAD)
def test_other_contents_are_rejected_with_the_reason(form: str, tmp_path: Path) -> None:
    content, message = BAD[form]
    (tmp_path / form).write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_class_names(tmp_path / form)
    assert message in caught.value.message and caught.value.field == "classes"


def test_a_huge_file_is_rejected_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_names, "MOST_BYTES", 5)
    (tmp_path / "names.txt").write_text("cat\ndog")
    with pytest.raises(InvalidInput, match="must have at most 5 bytes, not 7"):
        read_class_names(tmp_path / "names.txt")


def test_the_command_reads_them(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_bytes(READ["config.json"])
    file = classifier().write(tmp_path / "theirs.onnx")
    assert attach(file, "--scale", "1/255", "--classes", tmp_path / "config.json") == 0
    assert list(written()[0].class_names) == NAMES
