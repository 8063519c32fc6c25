"""Arrays in a pickle are read, and no code of the pickle runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spyglass_training.array_pickle import read_array_pickle


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def test_a_pickle_that_calls_a_function_is_rejected_before_the_call(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    for call in (
        Call(witness.touch),
        Call(exec, f"open({str(witness)!r}, 'w')"),
        Call(np.ndarray, (10**9,)),
        Call(np.load, str(witness)),
    ):
        for protocol in range(5):
            with pytest.raises(ValueError, match="cannot read a pickle"):
                read_array_pickle(pickle.dumps({"data": call}, protocol=protocol))
    with pytest.raises(ValueError, match="an array of object, not of numbers"):
        read_array_pickle(pickle.dumps(np.array([{}], dtype=object)))
    assert not witness.exists()


def test_a_pickle_of_arrays_of_numbers_is_read() -> None:
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    for protocol in (3, 4):
        for array in (expected, np.asfortranarray(expected), expected.astype(">f4")):
            found = read_array_pickle(pickle.dumps({"a": array, "n": [1, "two"]}, protocol=protocol))
            np.testing.assert_array_equal(found["a"], expected)
            assert found["n"] == [1, "two"]
