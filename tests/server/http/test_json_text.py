"""JSON of callers: what is refused, and that it takes little memory."""

from __future__ import annotations

import tracemalloc

import pytest

from spyglass_contract.errors import InvalidInput
from spyglass_server.http.json_text import parse_json


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "at character 1"),
        (b"\xff{}", "not UTF-8 at byte 0"),
        (b"[" * 50_000, "nested too deep"),
        (b"1" * 5000, "more than 4300 digits"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b'{"b": 0, "a": 1, "a": 2}', "'a' twice"),
        (b'["\\ud83d"]', "half of a surrogate pair"),
        (b'{"\\uDC00": 1}', "half of a surrogate pair"),
        (b"[" + b"0," * 60_000 + b"0]", "at most 50,000 values: send a file"),
        (b"[" + b"[]," * 60_000 + b"[]]", "at most 50,000 values: send a file"),
        ('["' + "é" * 5_000_000 + '"]', "must be ASCII"),
    ],
    ids=lambda value: value[:16] if isinstance(value, str | bytes) else None,
)
def test_a_text_that_is_refused_says_why(body: bytes | str, message: str) -> None:
    data = body.encode() if isinstance(body, str) else body
    with pytest.raises(InvalidInput, match=message) as raised:
        parse_json(data, most_values=50_000, otherwise=": send a file")

    assert (raised.value.reason, raised.value.field) == ("JSON_INVALID", "body")
    assert len(raised.value.message) < 300


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
        (b'["\\ud83d\\ude00"]', ["😀"]),
        (b'["\\\\ud800"]', ["\\ud800"]),
        ('["é"]'.encode(), ["é"]),
    ],
)
def test_a_valid_text_is_read(body: bytes, value: object) -> None:
    assert parse_json(body, most_values=100) == value


def test_a_long_list_is_refused_before_it_takes_memory() -> None:
    body = b"[" + b"{}," * 3_000_000 + b"{}]"
    tracemalloc.start()
    with pytest.raises(InvalidInput):
        parse_json(body, most_values=10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000


def test_many_names_are_compared_fast() -> None:
    pairs = ",".join(f'"{number}": 0' for number in range(60_000))

    with pytest.raises(InvalidInput, match="twice"):
        parse_json(f'{{{pairs}, "59999": 1}}'.encode(), most_values=1_000_000)
