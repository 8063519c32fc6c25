"""Requests to an engine that keeps responses: which of them run the network, and what they return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Event, get_ident
from typing import Any

import numpy as np
import pytest

from handled import Handled, message
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.reply_pb2 import Timing
from spyglass_contract.errors import Cancelled, DeadlineExceeded, ImageError, InvalidInput, Overloaded
from spyglass_server.engine.call import Call, Caller
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.observation import Observation
from spyglass_server.engine.profiling.quiet import Quiet
from spyglass_server.engine.response_cache.response_cache import ResponseCache

PATIENCE = 30
LIMIT = 1024 * 1024
MakeImage = Callable[..., bytes]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def cache() -> ResponseCache:
    return ResponseCache(LIMIT)


@pytest.fixture
def handled(open_network: Callable[[Path], Model], cache: ResponseCache) -> Iterator[Handled]:
    with closing(Handled(Path("colors/1/model.onnx"), open_network, responses=cache)) as opened:
        yield opened


def runs(network: Any) -> int:
    return len(network.batches)


def counts(cache: ResponseCache) -> tuple[int, int]:
    return cache.hits, cache.misses


def without_timing(response: ClassifyResponse) -> ClassifyResponse:
    plain = ClassifyResponse()
    plain.CopyFrom(response)
    plain.ClearField("timing")
    return plain


def test_an_image_that_was_sent_before_runs_no_network(
    handled: Handled, network: Any, cache: ResponseCache, color_image: MakeImage
) -> None:
    before = runs(network)
    first = handled.classify(color_image("red"), id="a", index=3)
    second = handled.classify(color_image("red"), id="a", index=3)

    assert runs(network) == before + 1
    assert without_timing(second) == without_timing(first)
    assert not first.timing.cached and first.timing.inference_ms > 0
    assert second.timing == Timing(cached=True)
    assert counts(cache) == (1, 1)


def test_a_kept_response_has_the_id_and_the_index_of_its_own_request(
    handled: Handled, color_image: MakeImage
) -> None:
    handled.classify(color_image("red"), id="first", index=1)
    second = handled.classify(color_image("red"), id="second", index=2)
    third = handled.classify(color_image("red"))

    assert (second.id, second.index) == ("second", 2)
    assert (third.id, third.index) == ("", 0)
    assert second.timing.cached and third.timing.cached


def test_another_image_or_option_runs_the_network(
    handled: Handled, network: Any, color_image: MakeImage
) -> None:
    image = color_image("red")
    handled.classify(image)

    assert not handled.classify(color_image("blue")).timing.cached
    assert len(handled.classify(image, top_k=1).classes) == 1
    assert not handled.classify(image + b"\0").timing.cached
    assert not handled.classify(np.full((12, 20, 3), (255, 0, 0), np.uint8)).timing.cached


def test_another_model_of_the_same_name_and_version_is_asked(
    handled: Handled, network: Any, color_image: MakeImage
) -> None:
    """A file that replaces another has another hash, and the first one may come back."""
    image = color_image("red")
    old = handled.classify(image)
    handled.repository.add(Model(network, "cd" * 32, Resources(workers=1)))
    replaced = handled.classify(image)
    handled.repository.add(Model(network, old.served_by.sha256, Resources(workers=1)))
    back = handled.classify(image)

    assert (replaced.served_by.sha256, replaced.timing.cached) == ("cd" * 32, False)
    assert (back.served_by.sha256, back.timing.cached) == (old.served_by.sha256, True)


def test_errors_are_not_kept(
    handled: Handled, network: Any, cache: ResponseCache, color_image: MakeImage
) -> None:
    compute = network.compute

    def fail(pixels: object) -> object:
        raise RuntimeError("kernel failed")

    network.compute = fail
    with pytest.raises(RuntimeError, match="kernel failed"):
        handled.classify(color_image("red"))
    network.compute = compute
    for _ in range(2):
        with pytest.raises(ImageError):
            handled.classify(b"no image")

    assert cache.held == 0
    assert not handled.classify(color_image("red")).timing.cached


def test_an_invalid_request_fails_whatever_is_kept(handled: Handled, color_image: MakeImage) -> None:
    handled.classify(color_image("red"))

    with pytest.raises(InvalidInput):
        handled.classify(color_image("red"), id="x" * 2000)
    with pytest.raises(InvalidInput):
        handled.classify(color_image("red"), timeout={"seconds": -1})


def test_a_call_that_is_over_gets_no_kept_response(handled: Handled, color_image: MakeImage) -> None:
    handled.classify(color_image("red"))
    cancelled = Call()
    cancelled.cancel()

    with pytest.raises(Cancelled):
        handled.classify(color_image("red"), cancelled)
    with pytest.raises(DeadlineExceeded):
        handled.classify(color_image("red"), Call(deadline=1.0))


def test_a_kept_response_does_not_wait_and_takes_no_place(
    handled: Handled, network: Any, color_image: MakeImage, eventually: Eventually
) -> None:
    handled.classify(color_image("red"))
    network.close_gate()
    colors = ["blue", (1, 2, 3), (4, 5, 6), (7, 8, 9)]
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(handled.classify, color_image(color)) for color in colors]
        eventually(lambda: handled.inside == 4)
        with pytest.raises(Overloaded):
            handled.classify(color_image((9, 9, 9)))

        assert handled.classify(color_image("red")).timing == Timing(cached=True)

        network.gate.set()
        assert {entry.result(PATIENCE).timing.cached for entry in waiting} == {False}


def test_equal_requests_that_wait_run_the_network_once(
    handled: Handled, network: Any, cache: ResponseCache, color_image: MakeImage, eventually: Eventually
) -> None:
    network.close_gate()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(handled.classify, color_image("red"), id="0")
        assert network.entered.acquire(timeout=PATIENCE)
        others = [pool.submit(handled.classify, color_image("red"), id=str(n)) for n in (1, 2, 3)]
        eventually(lambda: handled.inside == 4)
        network.gate.set()
        responses = [each.result(PATIENCE) for each in [first, *others]]

    assert runs(network) == 1
    assert [response.id for response in responses] == ["0", "1", "2", "3"]
    assert [response.timing.cached for response in responses] == [False, True, True, True]
    assert all(response.timing.queue_ms > 0 for response in responses[1:])
    assert all(response.timing.inference_ms == 0 for response in responses[1:])
    assert counts(cache) == (3, 1)


def test_if_the_first_of_equal_requests_fails_the_next_one_runs(
    handled: Handled, network: Any, color_image: MakeImage, eventually: Eventually
) -> None:
    compute, failed = network.compute, Event()

    def fail_once(pixels: Any) -> Any:
        if failed.is_set():
            return compute(pixels)
        failed.set()
        raise RuntimeError("kernel failed")

    network.close_gate()
    network.compute = fail_once
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(handled.classify, color_image("red"))
        assert network.entered.acquire(timeout=PATIENCE)
        second = pool.submit(handled.classify, color_image("red"))
        eventually(lambda: handled.inside == 2)
        network.gate.set()

        assert isinstance(first.exception(PATIENCE), RuntimeError)
        assert not second.result(PATIENCE).timing.cached


def test_callers_can_have_responses_of_their_own(
    open_network: Callable[[Path], Model], color_image: MakeImage
) -> None:
    apart = ResponseCache(LIMIT, per_caller=True)
    one, other = Caller("ipv4:10.0.0.1"), Caller("ipv4:10.0.0.2")
    with closing(Handled(Path("colors/1/model.onnx"), open_network, responses=apart)) as handled:
        cached = [
            handled.classify(color_image("red"), Call(caller=caller)).timing.cached
            for caller in (one, other, one, other)
        ]

    assert cached == [False, False, True, True]


def test_an_observation_says_that_the_response_was_kept(handled: Handled, color_image: MakeImage) -> None:
    seen = []
    for _ in range(2):
        call = Call()
        call.observation = observation = Observation("/spyglass.v1.Vision/Classify")
        handled.classify(color_image("red"), call)
        seen.append((observation.cached, observation.inferred is not None, observation.model is not None))

    assert seen == [(False, True, True), (True, False, True)]


def test_a_kept_response_interrupts_a_measurement_of_the_speed(
    handled: Handled, color_image: MakeImage
) -> None:
    handled.classify(color_image("red"))
    quiet = Quiet(handled.engine, Event())
    assert not quiet.broken

    handled.classify(color_image("red"))

    assert quiet.broken


def test_a_large_response_is_not_sent_if_its_call_has_ended_meanwhile(
    handled: Handled, cache: ResponseCache, color_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled.classify(color_image("red"))
    monkeypatch.setattr("spyglass_server.engine.response_cache.cache_entry._SMALL_BYTES", 0)
    go_on, call = Event(), Call()
    for _ in range(2):
        cache.threads.submit(go_on.wait, PATIENCE)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(handled.classify, color_image("red"), call)
        call.cancel()
        go_on.set()

        assert isinstance(ended.exception(PATIENCE), Cancelled)


def test_a_cache_that_many_threads_use_gives_each_image_its_own_response(
    open_network: Callable[[Path], Model], network: Any, color_image: MakeImage
) -> None:
    # A few of the 40 responses fit.
    small = ResponseCache(8_500)
    images = {number: color_image((number * 6, 255 - number * 6, 7)) for number in range(40)}
    with closing(Handled(Path("colors/1/model.onnx"), open_network, workers=2)) as handled:
        expected = {number: handled.classify(image).classes for number, image in images.items()}
    with closing(Handled(Path("colors/1/model.onnx"), open_network, workers=2, responses=small)) as handled:

        def ask(seed: int) -> int:
            chance = Random(seed)
            for _ in range(250):
                number = min(int(chance.expovariate(0.1)), 39)
                response = handled.classify(images[number], Call(patient=True), id=str(number))
                assert (response.id, response.classes) == (str(number), expected[number])
                assert small.held_bytes <= small.limit_bytes
            return 250

        with ThreadPoolExecutor(4) as pool:
            total = sum(pool.map(ask, range(4)))

    assert small.hits + small.misses == total
    assert small.hits > 100 and small.evicted > 20


def test_a_kept_response_that_cannot_be_sent_ends_its_request_once(
    handled: Handled, color_image: MakeImage, caplog: pytest.LogCaptureFixture
) -> None:
    handled.classify(color_image("red"))
    ends: list[object] = []

    def done(response: object, error: Exception | None) -> None:
        ends.append(response)
        raise OSError("the connection is gone")

    request = ClassifyRequest(image=message(color_image("red")))
    handled.handlers.start(handled.handlers.classify_work, request, Call(), done)

    assert len(ends) == 1
    assert "the response of a request could not be sent" in caplog.text


def test_large_responses_are_made_by_another_thread(
    handled: Handled, network: Any, color_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = handled.repository
    model.class_names = tuple(f"{'long name ' * 2000}{number}" for number in range(3))
    threads: list[int] = []

    def start(**fields: Any) -> Future[Any]:
        ended: Future[Any] = Future()
        request = ClassifyRequest(image=message(color_image("red")), **fields)

        def done(response: object, error: Exception | None) -> None:
            threads.append(get_ident())
            ended.set_exception(error) if error else ended.set_result(response)

        handled.handlers.start(handled.handlers.classify_work, request, Call(), done)
        return ended

    for top_k in (1, 3):
        expected = start(top_k=top_k).result(PATIENCE)
        threads.clear()
        found = start(top_k=top_k).result(PATIENCE)
        assert found.timing.cached and found.classes == expected.classes
        # 20 kB and 60 kB.
        assert threads == [get_ident()]

    monkeypatch.setattr("spyglass_server.engine.response_cache.cache_entry._SMALL_BYTES", 50_000)
    threads.clear()
    assert start(top_k=3).result(PATIENCE).timing.cached
    assert threads != [get_ident()]


def test_a_response_that_is_too_large_is_computed_each_time(
    handled: Handled, network: Any, cache: ResponseCache, color_image: MakeImage
) -> None:
    (model,) = handled.repository
    model.class_names = tuple(f"{'long name ' * 3000}{number}" for number in range(3))
    for _ in range(2):
        assert not handled.classify(color_image("red")).timing.cached
        assert handled.classify(color_image("red"), top_k=1).classes

    assert cache.held == 1
    assert counts(cache) == (1, 3)


def test_without_a_cache_every_request_runs_the_network(
    open_network: Callable[[Path], Model], network: Any, color_image: MakeImage
) -> None:
    with closing(Handled(Path("colors/1/model.onnx"), open_network)) as handled:
        before = runs(network)
        for _ in range(2):
            assert not handled.classify(color_image("red")).timing.cached
        assert runs(network) == before + 2
