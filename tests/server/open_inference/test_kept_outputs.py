"""Requests of the Open Inference Protocol to an engine that keeps responses: image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import pytest

from spyglass_contract.errors import LimitExceeded, Overloaded
from spyglass_contract.images.header import Limits
from spyglass_server.engine.call import Call
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.observation import Observation
from spyglass_server.engine.response_cache.response_cache import ResponseCache
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.open_inference.reuse import kept_parts, options_of, restored_parts
from spyglass_server.open_inference.tensors import InferRequest, InferResult, InputTensor, RequestedOutput

PATIENCE = 30
LIMIT = 4 * 1024 * 1024

Infer = Callable[..., InferResult]


@pytest.fixture
def cache() -> ResponseCache:
    return ResponseCache(LIMIT)


@pytest.fixture
def caching(repository: Repository, cache: ResponseCache) -> Iterator[Engine]:
    engine = Engine(repository, Workers(1, Bounds(2)), Limits(), cache)
    yield engine
    engine.workers.close()
    cache.close()


@pytest.fixture
def infer(caching: Engine, make_infer: Callable[[Engine], Infer]) -> Infer:
    return make_infer(caching)


@pytest.fixture
def plain(engine: Engine, make_infer: Callable[[Engine], Infer]) -> Infer:
    """Run a request without a cache."""
    return make_infer(engine)


@pytest.fixture
def files(color_image: Callable[..., bytes]) -> Callable[..., InputTensor]:
    """Make the input of images in these colours."""

    def make(*colors: str) -> InputTensor:
        return InputTensor("image", "BYTES", (len(colors),), [color_image(color) for color in colors])

    return make


def values(result: InferResult) -> list[Any]:
    return [
        (output.name, output.datatype, output.shape, np.asarray(output.values).tolist())
        for output in result.outputs
    ]


TOP = RequestedOutput("probabilities", {"classification": 2})
REQUESTS = {
    "probabilities": {},
    "classes": {"outputs": (TOP,)},
    "heatmap": {"outputs": (RequestedOutput("heatmap"), RequestedOutput("probabilities"))},
    "heatmap of a class": {"outputs": (RequestedOutput("heatmap"),), "class_name": "blue"},
    "mask": {"model": "pad"},
    "mask alone": {"model": "stretch", "outputs": (RequestedOutput("mask"),)},
}


@pytest.mark.parametrize("arguments", REQUESTS.values(), ids=REQUESTS)
def test_kept_outputs_are_those_of_the_network(
    infer: Infer, plain: Infer, files: Callable[..., InputTensor], arguments: dict[str, Any]
) -> None:
    expected = values(plain(files("red", "blue"), **arguments))

    first, second = (infer(files("red", "blue"), **arguments) for _ in range(2))

    assert (first.cached, second.cached) == (False, True)
    assert values(first) == values(second) == expected
    # Each image alone has them, too.
    assert infer(files("blue"), **arguments).cached


def test_only_the_images_that_are_new_run_the_network(
    infer: Infer, plain: Infer, cache: ResponseCache, files: Callable[..., InputTensor]
) -> None:
    infer(files("red"))

    result = infer(files("green", "red", "blue"))

    assert not result.cached
    assert values(result) == values(plain(files("green", "red", "blue")))
    assert (cache.hits, cache.misses) == (1, 3)
    assert infer(files("blue", "green")).cached


def test_inputs_of_pixels_are_kept(infer: Infer) -> None:
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[1] = 200

    def tensor(images: Any) -> InputTensor:
        return InputTensor("image", "UINT8", images.shape, images.tobytes())

    infer(tensor(pixels))

    assert infer(tensor(pixels[1:])).cached
    assert not infer(tensor(pixels[1:] + 1)).cached


@pytest.mark.parametrize(
    "arguments",
    [
        *REQUESTS.values(),
        {"outputs": (RequestedOutput("probabilities"),)},
        {"outputs": (RequestedOutput("probabilities", {"classification": 1}),)},
        {"outputs": (RequestedOutput("probabilities"), RequestedOutput("heatmap"))},
        {"outputs": (RequestedOutput("heatmap"),), "class_name": "red"},
        {"outputs": (RequestedOutput("heatmap"),), "class_index": 0},
        {"outputs": (RequestedOutput("heatmap"),), "class_index": 1},
    ],
)
def test_every_option_of_a_request_counts(
    infer: Infer, files: Callable[..., InputTensor], arguments: dict[str, Any]
) -> None:
    others = [each for each in REQUESTS.values() if each != arguments]
    for other in others:
        infer(files("red"), **other)

    assert not infer(files("red"), **arguments).cached


def test_what_does_not_change_the_outputs_is_no_option() -> None:
    def options(**parameters: Any) -> bytes:
        return options_of(InferRequest("colors", "", "an id", (), (TOP,), parameters))

    plain = options()
    assert options(timeout=5, priority=2, sequence_id=0) == plain
    assert options(a=1, b=2) == options(b=2, a=1) != plain
    assert options(a=1) != options(a=True) != options(a="1")


def test_parts_come_back_as_they_were() -> None:
    floats = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    parts = [[b"", b"0.5:1:red"], floats[:, ::2], np.zeros((0, 3), np.uint8), np.uint8([[1, 255]]), []]

    found = restored_parts(kept_parts(parts))

    assert [found[0], found[4]] == [parts[0], []]
    for index in (1, 2, 3):
        assert found[index].dtype == parts[index].dtype
        np.testing.assert_array_equal(found[index], parts[index])


def test_kept_outputs_obey_the_limit_of_a_response(
    infer: Infer, files: Callable[..., InputTensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    infer(files("red"))
    monkeypatch.setattr("spyglass_server.open_inference.batch.MAX_REPLY_BYTES", 50)
    assert infer(files("red")).cached

    with pytest.raises(LimitExceeded) as raised:
        infer(files(*["red"] * 5))

    assert raised.value.reason == "OUTPUTS_TOO_LARGE"


def test_a_request_whose_first_image_is_kept_takes_a_place_for_the_others(
    caching: Engine, infer: Infer, files: Callable[..., InputTensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    infer(files("red"))
    calls: list[bool] = []
    submit = caching.workers.submit

    def counted(work: Any, call: Any, done: Any) -> None:
        calls.append(call.patient)
        submit(work, call, done)

    monkeypatch.setattr(caching.workers, "submit", counted)
    infer(files("red", "green", "blue"))

    assert calls == [False, True]


def test_a_full_server_answers_what_it_has_and_refuses_the_rest(
    caching: Engine,
    infer: Infer,
    files: Callable[..., InputTensor],
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    infer(files("red"))
    go_on = Event()
    (model,) = (model for model in caching.repository if model.card.name == "colors")
    compute = model.network.run

    def slow(pixels: Any) -> Any:
        assert go_on.wait(PATIENCE)
        return compute(pixels)

    model.network.run = slow
    try:
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(infer, files(color)) for color in ("green", "blue")]
            eventually(lambda: caching.inside == 2)
            assert infer(files("red", "red")).cached
            with pytest.raises(Overloaded):
                infer(files("red", (1, 2, 3)))
            go_on.set()
            assert not any(each.result(PATIENCE).cached for each in waiting)
    finally:
        go_on.set()
        model.network.run = compute


def test_observers_see_which_images_were_kept(infer: Infer, files: Callable[..., InputTensor]) -> None:
    infer(files("red"))
    seen = []
    for colors in (("red",), ("red", "green"), ("red", "green")):
        call = Call()
        call.observation = observation = Observation("/inference.GRPCInferenceService/ModelInfer")
        infer(files(*colors), call=call)
        seen.append((observation.cached, [image.cached for image in observation.images]))
        each = observation.images or [observation]
        assert all(image.timing and image.timing.cached == image.cached for image in each)

    assert seen == [(True, []), (False, [True, False]), (True, [True, True])]
