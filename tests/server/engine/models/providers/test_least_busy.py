"""The least busy of several GPUs, and values that are made late."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest

from spyglass_server.engine.models.providers.lazily import Lazily
from spyglass_server.engine.models.providers.least_busy import LeastBusy


def test_each_use_takes_the_one_with_the_fewest_uses() -> None:
    gpus = LeastBusy(["cuda:0", "cuda:1", "cuda:2"])
    with ExitStack() as first, ExitStack() as others:
        assert first.enter_context(gpus.take()) == "cuda:0"
        assert others.enter_context(gpus.take()) == "cuda:1"
        assert others.enter_context(gpus.take()) == "cuda:2"
        first.close()
        assert others.enter_context(gpus.take()) == "cuda:0"
        assert others.enter_context(gpus.take()) == "cuda:0"


def test_a_failed_run_frees_its_gpu() -> None:
    gpus = LeastBusy(["cuda:0", "cuda:1"])
    with pytest.raises(RuntimeError, match="out of memory"), gpus.take():
        raise RuntimeError("out of memory")

    with gpus.take() as taken:
        assert taken == "cuda:0"


def test_several_threads_make_a_late_value_once() -> None:
    made: list[int] = []
    barrier = Barrier(8)
    value = Lazily(lambda: made.append(1) or len(made))

    def get(_: int) -> int:
        barrier.wait(10)
        return value.get()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(get, range(8))) == [1] * 8
    assert made == [1]


def test_a_late_value_that_fails_is_tried_again(fail_once: Callable[[], str]) -> None:
    value = Lazily(fail_once)
    with pytest.raises(OSError, match="no memory"):
        value.get()

    assert value.get() == "made"


@pytest.fixture
def fail_once() -> Callable[[], str]:
    failures = iter([OSError("no memory")])

    def make() -> str:
        for failure in failures:
            raise failure
        return "made"

    return make
