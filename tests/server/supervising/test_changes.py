"""The supervisor's part in changes of the models, with workers whose calls are functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from google.protobuf.message import Message

from spyglass.v1.admin_pb2 import (
    ListVersionsRequest,
    ListVersionsResponse,
    LoadModelRequest,
    LoadModelResponse,
    ReloadRequest,
    ReloadResponse,
    RollbackRequest,
    RollbackResponse,
    UnloadModelRequest,
    UnloadModelResponse,
)
from spyglass.v1.model_pb2 import (
    VERSION_STATE_DRAINING,
    VERSION_STATE_FAILED,
    VERSION_STATE_LOADING,
    VERSION_STATE_SERVING,
    VersionState,
    VersionStatus,
)
from spyglass_contract.errors import DeadlineExceeded, FailedPrecondition, NotFound, Unavailable
from spyglass_server.supervising.change import METHODS, Change
from spyglass_server.supervising.changes import Changes
from spyglass_server.supervising.control import ControlServer
from spyglass_server.supervising.task import worker_socket
from spyglass_server.supervising.version_states import joined_states

Eventually = Callable[[Callable[[], bool]], None]


def status(
    version: int, state: VersionState.ValueType = VERSION_STATE_SERVING, message: str = ""
) -> VersionStatus:
    return VersionStatus(name="m", version=version, state=state, message=message)


class Worker:
    """A worker that records its calls. Its response is `respond(change)`, a message."""

    def __init__(self, folder: Path, number: int, respond: Callable[[Change], Message]) -> None:
        self.number = number
        self.calls: list[tuple[str, str, Message]] = []
        self.respond = respond
        methods = {"Run": self._run, "Adopt": self._adopt, "Refresh": self._refresh}
        self._server = ControlServer(worker_socket(folder, number), methods)

    def _run(self, request: bytes) -> bytes:
        change = Change.from_bytes(request)
        self.calls.append(("run", change.method, change.message()))
        return self.respond(change).SerializeToString()

    def _adopt(self, request: bytes) -> bytes:
        change = Change.from_bytes(request)
        self.calls.append(("adopt", change.method, change.message()))
        self.respond(change)
        return b""

    def _refresh(self, request: bytes) -> bytes:
        self.calls.append(("refresh", "", ReloadRequest()))
        return b""

    def stop(self) -> None:
        self._server.stop()


def answer(change: Change) -> Message:
    """What a worker responds that does what it should; the highest version is 7."""
    if change.method == "LoadModel":
        return LoadModelResponse(version=status(change.message().version or 7))
    if change.method == "ListVersions":
        return ListVersionsResponse(versions=[status(1)])
    if change.method == "Reload":
        return ReloadResponse(versions=[status(1)])
    return {"UnloadModel": UnloadModelResponse, "Rollback": RollbackResponse}[change.method]()


@pytest.fixture
def changes(tmp_path: Path) -> Iterator[Changes]:
    made = Changes(tmp_path)
    yield made
    made.close()


@pytest.fixture
def workers(tmp_path: Path, changes: Changes) -> Iterator[list[Worker]]:
    """Three workers that take part."""
    made = [Worker(tmp_path, number, answer) for number in (1, 2, 3)]
    for worker in made:
        assert join(changes, worker.number) == []
    yield made
    for worker in made:
        changes.forget(worker.number)
        worker.stop()


def join(changes: Changes, number: int) -> list[Change]:
    data = changes.methods["Join"](str(number).encode())
    return [Change.from_bytes(text.encode()) for text in json.loads(data)]


def change(changes: Changes, worker: int, request: Message, seconds: float | None = 10) -> bytes:
    method = type(request).__name__.removesuffix("Request")
    assert method in METHODS
    return changes.methods["Change"](
        Change(method, request.SerializeToString(), "somebody", worker, seconds).to_bytes()
    )


def refuse(error: Exception) -> Callable[[Change], Message]:
    def respond(change: Change) -> Message:
        raise error

    return respond


def test_the_worker_that_got_the_call_is_the_first_of_all(changes: Changes, workers: list[Worker]) -> None:
    data = change(changes, 2, LoadModelRequest(name="m"))

    assert LoadModelResponse.FromString(data).version.version == 7
    assert workers[1].calls == [("run", "LoadModel", LoadModelRequest(name="m"))]
    # The others load the version that it found, not one that has come since.
    for other in (workers[0], workers[2]):
        assert other.calls == [("run", "LoadModel", LoadModelRequest(name="m", version=7))]


def test_what_the_first_worker_refuses_is_over(changes: Changes, workers: list[Worker]) -> None:
    workers[1].respond = refuse(FailedPrecondition("bad file", reason="CARD_INVALID"))

    with pytest.raises(FailedPrecondition, match=r"^bad file$") as raised:
        change(changes, 2, LoadModelRequest(name="m", version=2))

    assert raised.value.reason == "CARD_INVALID"
    assert workers[0].calls == workers[2].calls == []
    assert join(changes, 4) == []


def test_the_error_of_another_worker_has_its_number(changes: Changes, workers: list[Worker]) -> None:
    workers[0].respond = refuse(FailedPrecondition("out of memory", reason="OUT_OF_MEMORY"))

    with pytest.raises(FailedPrecondition, match=r"^worker 1: out of memory$") as raised:
        change(changes, 2, LoadModelRequest(name="m", version=2))

    assert raised.value.reason == "OUT_OF_MEMORY"
    assert workers[2].calls


def test_a_version_that_another_worker_has_not_is_ended_all_the_same(
    changes: Changes, workers: list[Worker]
) -> None:
    workers[2].respond = refuse(NotFound("no version 2 that serves", reason="VERSION_NOT_FOUND"))

    change(changes, 1, UnloadModelRequest(name="m", version=2))

    assert workers[1].calls and workers[2].calls


def test_labels_are_written_once_and_read_by_the_others(changes: Changes, workers: list[Worker]) -> None:
    change(changes, 1, RollbackRequest(name="m"))

    assert workers[0].calls == [("run", "Rollback", RollbackRequest(name="m"))]
    for other in workers[1:]:
        assert other.calls == [("adopt", "Rollback", RollbackRequest(name="m"))]


def test_a_worker_that_has_ended_is_left_out(changes: Changes, workers: list[Worker]) -> None:
    workers[0].stop()

    change(changes, 2, LoadModelRequest(name="m", version=2))

    assert workers[2].calls
    with pytest.raises(Unavailable):
        change(changes, 1, LoadModelRequest(name="m", version=2))


def test_a_change_goes_on_after_its_deadline(
    changes: Changes, workers: list[Worker], eventually: Eventually
) -> None:
    go_on = Event()

    def slowly(change: Change) -> Message:
        assert go_on.wait(30)
        return answer(change)

    workers[0].respond = slowly
    with pytest.raises(DeadlineExceeded, match="before all workers had made the change"):
        change(changes, 1, LoadModelRequest(name="m", version=2), seconds=0.05)
    assert workers[1].calls == []

    go_on.set()

    eventually(lambda: bool(workers[1].calls and workers[2].calls))


def test_a_worker_that_starts_later_gets_the_loads_and_unloads(
    changes: Changes, workers: list[Worker]
) -> None:
    requests: list[Message] = [
        LoadModelRequest(name="m", version=1),
        LoadModelRequest(name="m"),
        LoadModelRequest(name="other", version=3),
        UnloadModelRequest(name="m", version=1),
        RollbackRequest(name="m"),
        LoadModelRequest(name="m", version=7),
    ]
    for request in requests:
        change(changes, 1, request)

    found = [(each.method, each.message().name, each.message().version) for each in join(changes, 4)]

    # Labels are in files, and what was repeated or undone is left out.
    assert found == [("LoadModel", "other", 3), ("UnloadModel", "m", 1), ("LoadModel", "m", 7)]
    change(changes, 1, UnloadModelRequest(name="m"))
    assert [each.method for each in join(changes, 5)] == ["LoadModel", "UnloadModel"]


def test_the_others_look_at_the_repository_when_a_worker_was_replaced(
    changes: Changes, workers: list[Worker], eventually: Eventually
) -> None:
    changes.forget(2)
    assert not any(worker.calls for worker in workers)

    join(changes, 2)

    eventually(lambda: all(workers[number].calls for number in (0, 2)))
    assert workers[0].calls[0][0] == workers[2].calls[0][0] == "refresh"
    assert workers[1].calls == []


def test_the_states_of_all_workers_are_one_list(changes: Changes, workers: list[Worker]) -> None:
    def states(*versions: VersionStatus) -> Callable[[Change], Message]:
        def respond(change: Change) -> Message:
            made: Any = ListVersionsResponse if change.method == "ListVersions" else ReloadResponse
            return made(versions=versions)  # type: ignore[no-any-return]

        return respond

    workers[1].respond = states(status(1, VERSION_STATE_FAILED, "bad file"))
    workers[2].respond = states(status(1, VERSION_STATE_LOADING))

    for request in (ListVersionsRequest(), ReloadRequest()):
        data = change(changes, 1, request)
        found = ListVersionsResponse.FromString(data).versions
        assert list(found) == [status(1, VERSION_STATE_FAILED, "worker 2: bad file")]


def test_a_worker_that_does_not_list_its_versions_is_left_out(
    changes: Changes, workers: list[Worker]
) -> None:
    workers[1].stop()

    data = change(changes, 1, ListVersionsRequest())

    assert list(ListVersionsResponse.FromString(data).versions) == [status(1)]


def test_versions_that_drain_are_listed_beside_those_that_serve() -> None:
    joined = joined_states(
        {
            1: [status(1), status(1, VERSION_STATE_DRAINING), status(2)],
            2: [status(1), status(2, VERSION_STATE_LOADING)],
        }
    )

    assert joined == [status(1), status(1, VERSION_STATE_DRAINING), status(2, VERSION_STATE_LOADING)]


def test_a_failure_in_all_workers_names_none() -> None:
    failed = status(1, VERSION_STATE_FAILED, "bad file")

    assert joined_states({1: [failed], 2: [failed]}) == [failed]
