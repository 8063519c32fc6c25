"""Requests as a whole: versions, parameters, deadlines, errors of one image, and what observers see."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from spyglass_contract.errors import DeadlineExceeded, InternalError, Overloaded, SpyglassError
from spyglass_server.engine.call import Call
from spyglass_server.engine.observation import Observation
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.open_inference.parameters import call_of_request
from spyglass_server.open_inference.tensors import InferRequest, InputTensor

PATIENCE = 30


@pytest.fixture
def red(color_image: Callable[..., bytes]) -> bytes:
    return color_image("red")


def batch(image: bytes, count: int) -> InputTensor:
    return InputTensor("image", "BYTES", (count,), [image] * count)


def test_the_result_says_which_version_computed_it(infer: Any, red: bytes) -> None:
    for version in ("", "1"):
        result = infer(batch(red, 1), version=version)
        assert (result.id, result.served_by.version) == ("an id", 1)
        assert len(result.served_by.sha256) == 64


@pytest.mark.parametrize(
    ("model", "version", "reason", "field"),
    [
        ("", "", "MODEL_NAME_MISSING", "model_name"),
        ("none", "", "MODEL_NOT_FOUND", "model_name"),
        ("n" * 100_000, "", "MODEL_NOT_FOUND", "model_name"),
        ("colors", "2", "VERSION_NOT_FOUND", "model_version"),
        ("colors", "9" * 100_000, "VERSION_NOT_FOUND", "model_version"),
        ("colors", "stable", "LABEL_NOT_FOUND", "model_version"),
        ("colors", "-1", "LABEL_NOT_FOUND", "model_version"),
        ("colors", "\u0661", "LABEL_NOT_FOUND", "model_version"),
    ],
    ids=lambda value: value[:20],
)
def test_unknown_models_and_versions_are_told_apart(
    refuses: Any, red: bytes, model: str, version: str, reason: str, field: str
) -> None:
    assert refuses(batch(red, 1), model=model, version=version)[1:] == (reason, field)


@pytest.mark.parametrize(
    ("parameters", "refusal"),
    [
        ({"sequence_id": 7}, ("Unimplemented", "SEQUENCES_UNSUPPORTED")),
        ({"sequence_id": "a"}, ("Unimplemented", "SEQUENCES_UNSUPPORTED")),
        ({"sequence_start": True}, ("Unimplemented", "SEQUENCES_UNSUPPORTED")),
        ({"timeout": -1}, ("InvalidInput", "PARAMETER_INVALID")),
        ({"timeout": "soon"}, ("InvalidInput", "PARAMETER_INVALID")),
        ({"priority": 3}, ("InvalidInput", "PARAMETER_INVALID")),
        ({"priority": "x" * 100_000}, ("InvalidInput", "PARAMETER_INVALID")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_parameters_that_cannot_be_kept_are_refused(
    refuses: Any, red: bytes, parameters: dict[str, Any], refusal: tuple[str, str]
) -> None:
    assert refuses(batch(red, 1), **parameters)[:2] == refusal


def test_parameters_of_other_servers_have_no_effect(infer: Any, red: bytes) -> None:
    infer(batch(red, 1), content_type="np", sequence_id=0, sequence_start=False, timeout=0, priority=0)


def test_a_timeout_is_in_microseconds_and_a_priority_of_2_is_bulk() -> None:
    call = call_of_request(Call(), {"timeout": 2_000_000, "priority": 2})
    left = call.remaining()
    assert left is not None and 1.5 < left <= 2
    assert call.bulk and not call_of_request(Call(), {"priority": 1}).bulk
    assert call_of_request(Call(), {"timeout": 1 << 62}).deadline is None


@pytest.mark.parametrize("count", [1, 3])
def test_a_request_ends_at_its_deadline(infer: Any, red: bytes, count: int) -> None:
    with pytest.raises((DeadlineExceeded, Overloaded)):
        infer(batch(red, count), call=Call(time.monotonic() - 1))


def test_tensors_in_shared_memory_are_refused(refuses: Any) -> None:
    tensor = InputTensor("image", "BYTES", (1,), [], {"shared_memory_region": "a"})
    assert refuses(tensor) == ("Unimplemented", "SHARED_MEMORY_UNSUPPORTED", "inputs")


def test_a_cancelled_call_cancels_every_image(engine: Any, red: bytes, eventually: Any) -> None:
    ended: list[Exception | None] = []
    done = Event()

    def end(response: object, error: Exception | None) -> None:
        ended.append(error)
        done.set()

    call = Call()
    OpenInference(engine).start(InferRequest("colors", "", "", (batch(red, 64),)), call, end)
    call.cancel()

    assert done.wait(PATIENCE)
    eventually(lambda: engine.workers.inside == 0)
    # It may have ended before it was cancelled.
    assert len(ended) == 1 and (ended[0] is None or getattr(ended[0], "reason", "") == "CANCELLED")


def test_one_refused_image_refuses_the_request_and_cancels_the_others(
    engine: Any, infer: Any, red: bytes, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    start, calls = engine.start, []

    def refusing(work: Any, call: Any, done: Any) -> bool:
        calls.append(call)
        if len(calls) == 3:
            raise Overloaded("full")
        return bool(start(work, call, done))

    monkeypatch.setattr(engine, "start", refusing)
    with pytest.raises(Overloaded):
        infer(batch(red, 5))

    assert [call.patient for call in calls] == [False, True, True]
    eventually(lambda: engine.workers.inside == 0)


def test_an_error_of_the_network_ends_the_request_once(
    engine: Any, find: Any, infer: Any, red: bytes, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    def fails(pixels: object) -> object:
        raise RuntimeError("broken")

    monkeypatch.setattr(find("colors").network, "run", fails)
    with pytest.raises(RuntimeError, match="broken"):
        infer(batch(red, 4))
    eventually(lambda: engine.workers.inside == 0)


def test_outputs_that_are_not_finite_are_a_fault_of_the_server(
    find: Any, infer: Any, red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = find("colors").network.run
    monkeypatch.setattr(find("colors").network, "run", lambda pixels: run(pixels) * float("nan"))
    with pytest.raises(InternalError):
        infer(batch(red, 2))


def test_a_request_with_an_id_that_is_too_long_is_refused(engine: Any, red: bytes) -> None:
    request = InferRequest("colors", "", "i" * 2000, (batch(red, 1),))
    with pytest.raises(SpyglassError) as raised:
        OpenInference(engine).infer(request, Call())
    assert raised.value.reason == "ID_TOO_LONG"


@pytest.mark.parametrize("count", [1, 3])
def test_an_observation_has_the_stages_of_its_images(infer: Any, red: bytes, count: int) -> None:
    call = Call()
    observation = call.observation = Observation("/m")

    infer(batch(red, count), call=call)

    images = observation.images or [observation]
    assert len(images) == count and all(image.kind == "image" for image in observation.images)
    assert observation.model is not None and observation.image == red
    for image in images:
        assert image.inferred is not None and image.timing is not None and image.image_format == "PNG"
        assert image.served_by is not None and image.served_by.model == "colors"
