"""Files that are no models, or are made to harm, end in a clear error, soon and in little memory."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_graphs import field, node, save_graph, varint
from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.model_file import check_file
from spyglass_contract.model_files.outline import read_outline

GRAPH, NODE, ATTRIBUTE, SUBGRAPH = 7, 1, 5, 6


def nested(levels: int) -> bytes:
    """Return a file with so many graphs inside each other."""
    graph = b""
    for _ in range(levels):
        graph = field(NODE, field(ATTRIBUTE, field(SUBGRAPH, graph)))
    return field(GRAPH, graph)


HOSTILE = {
    "empty": b"",
    "text": b"this is not a model",
    "zeros": bytes(1000),
    "only a version": b"\x08\x07",
    "length past the end": varint(GRAPH << 3 | 2) + varint(2**40) + b"x",
    "length without an end": varint(GRAPH << 3 | 2) + b"\xff" * 20,
    "tag without an end": b"\xff" * 20,
    "group": field(GRAPH, b"\x0b" * 100),
    "cut fixed64": field(GRAPH, b"\x09\x00"),
    "ONNX Runtime's own format": b"\x00\x00\x00\x00ORTM" + bytes(100),
    "many nodes": field(GRAPH, field(NODE, b"") * 100_000),
    "many initializers": field(GRAPH, field(5, b"") * 100_000),
    "many sparse initializers": field(GRAPH, field(15, field(1, b"")) * 100_000),
    "graphs inside each other": nested(2000),
    "graph of training": field(20, field(1, field(NODE, b"") * 100_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_at_once_in_little_memory(name: str) -> None:
    data = HOSTILE[name]
    tracemalloc.start()
    started = time.process_time()

    with pytest.raises(ModelError) as caught:
        read_outline(data, FileLimits(max_nodes=20_000))

    seconds, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.reason in ("MODEL_INVALID", "MODEL_TOO_LARGE")
    assert seconds < 5
    assert peak < 10_000_000


def test_small_fields_of_no_meaning_are_counted() -> None:
    with pytest.raises(ModelError, match="fields of protobuf"):
        read_outline(field(GRAPH, b"\x78\x00" * 200_000), FileLimits(max_nodes=1000))


def test_values_of_tensors_are_not_read(tmp_path: Path) -> None:
    tensor = field(5, field(9, bytes(20_000_000)))

    started = time.process_time()
    outline = read_outline(field(GRAPH, tensor), FileLimits())

    assert outline.initializers == 1
    assert time.process_time() - started < 0.5


def test_a_tag_that_is_longer_than_it_must_be_is_the_same_tag() -> None:
    # A parser of protobuf accepts it, so it must not hide a node.
    long_tag = bytes([NODE << 3 | 2 | 0x80, 0x80, 0x00])
    custom = field(4, b"Evil") + field(7, b"evil")

    outline = read_outline(field(GRAPH, long_tag + varint(len(custom)) + custom), FileLimits())

    assert outline.main.operators == {("evil", "Evil"): 1}


def test_each_of_several_graphs_counts() -> None:
    graph = field(GRAPH, field(NODE, field(4, b"Relu")))

    assert read_outline(graph + graph, FileLimits()).nodes == 2


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_outline(data, FileLimits())
    except ModelError as error:
        assert error.reason in ("MODEL_INVALID", "MODEL_TOO_LARGE", "MODEL_EXTERNAL_DATA")


@given(st.data())
def test_a_damaged_model_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(nested(3) + field(25, field(1, b"F") + field(7, field(4, b"Relu"))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_outline(bytes(content), FileLimits())
    except ModelError as error:
        assert error.message


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "missing"])
def test_a_file_that_is_not_a_regular_one_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.onnx"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()

    with pytest.raises(ModelError, match=r"not a regular file|No such file"):
        check_file(path)


def test_a_file_past_the_limit_of_bytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(2**40)

    with pytest.raises(ModelError, match=r"at most 2147483648 are allowed; .* --max-model-bytes"):
        check_file(path)


def test_a_file_that_changes_after_the_check_is_not_used(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "model.onnx", [node("Relu")])
    checked = path.read_bytes()
    file = check_file(path)
    save_graph(path, [node("Evil", "evil")])

    assert file.content() == checked
    file.release()

    with pytest.raises(ModelError) as caught:
        file.content()
    assert caught.value.reason == "MODEL_CHANGED"
    path.write_bytes(checked)
    assert file.content() == checked
