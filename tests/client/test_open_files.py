"""Open files as images."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import spyglass_client as sc
from spyglass_client._images import image_message
from spyglass_client._open_files import read_open_file


def opened(path: Path) -> io.BufferedReader:
    return path.open("rb")


def unbuffered(path: Path) -> io.FileIO:
    return path.open("rb", buffering=0)


def in_memory(path: Path) -> io.BytesIO:
    return io.BytesIO(path.read_bytes())


def spooled(path: Path) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=1000)  # noqa: SIM115
    file.write(path.read_bytes())
    return file


def temporary(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115
    file.write(path.read_bytes())
    return file


def in_an_archive(path: Path) -> Any:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.write(path, "cat.jpg")
    return zipfile.ZipFile(archive).open("cat.jpg")


class Response:
    """A response of the network: its bytes come in small parts, and only once."""

    def __init__(self, path: Path) -> None:
        self._data = io.BytesIO(path.read_bytes())

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 7000))


class ViewResponse(Response):
    def read(self, size: int = -1) -> Any:
        return memoryview(super().read(size))


@pytest.fixture
def cat(tmp_path: Path, chelsea: bytes) -> Path:
    (tmp_path / "cat.jpg").write_bytes(chelsea)
    return tmp_path / "cat.jpg"


@pytest.mark.parametrize(
    "open_",
    [opened, unbuffered, in_memory, spooled, temporary, in_an_archive, Response, ViewResponse],
    ids=lambda open_: open_.__name__,
)
def test_an_open_file_is_sent_whole(open_: Callable[[Path], Any], cat: Path) -> None:
    file = open_(cat)
    try:
        assert image_message(file).encoded == cat.read_bytes()
        assert not getattr(file, "closed", False)
    finally:
        getattr(file, "close", lambda: None)()


def test_a_file_that_was_just_written_is_sent_from_its_beginning() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 3)).save(file, "PNG")
    assert image_message(file).encoded == file.getvalue()
    # And again, as a second call does.
    assert image_message(file).encoded == file.getvalue()


def test_a_pipe_is_read_to_its_end(chelsea: bytes) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as file:
        with open(writer, "wb") as out:
            out.write(chelsea[:5000])
        assert image_message(file).encoded == chelsea[:5000]


@pytest.mark.parametrize("make", ["blocking", "asyncio"])
def test_a_client_classifies_open_files(
    serve: Callable[..., str], fake_vision: Callable[..., Any], cat: Path, make: str
) -> None:
    vision = fake_vision()
    target = serve(vision)
    if make == "blocking":
        with sc.Client(target) as client, cat.open("rb") as file:
            client.classify(file)
    else:

        async def classify() -> None:
            async with sc.AsyncClient(target) as client:
                with cat.open("rb") as file:
                    await client.classify(file)

        asyncio.run(classify())
    assert vision.requests[0].image.encoded == cat.read_bytes()


class Returns:
    """A file whose `read` returns one thing."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def read(self, size: int = -1) -> Any:
        return self.part


class AsyncFile:
    async def read(self, size: int = -1) -> bytes:
        return b""


class Fails:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def read(self, size: int = -1) -> bytes:
        raise self.error


class NoSize:
    def read(self) -> bytes:
        return b"image"


def text_file() -> io.TextIOWrapper:
    return Path(__file__).open(encoding="utf-8")


def closed() -> io.BytesIO:
    file = io.BytesIO(b"image")
    file.close()
    return file


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: io.StringIO("image"), 'opened as text; open it with "rb"'),
        (text_file, 'open it with "rb"'),
        (closed, "it is closed"),
        (AsyncFile, "await file.read()"),
        (lambda: Returns(None), "not blocking"),
        (lambda: Returns(7), "returns int, not bytes"),
        (lambda: Fails(OSError(5, "Input/output error")), "Input/output error"),
        (lambda: Fails(TimeoutError("timed out")), "timed out"),
        (lambda: Fails(KeyError()), "KeyError"),
        (NoSize, "positional argument"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_image_error(make: Callable[[], Any], cause: str) -> None:
    file = make()
    with pytest.raises(sc.ImageError) as caught:
        image_message(file)
    getattr(file, "close", lambda: None)()
    assert cause in caught.value.message
    assert (caught.value.reason, caught.value.field) == ("IMAGE_UNREADABLE", "image")


def test_a_file_that_cannot_be_read_does_not_end_a_stream(
    serve: Callable[..., str], fake_vision: Callable[..., Any]
) -> None:
    files = [io.BytesIO(b"a"), io.StringIO("b"), io.BytesIO(b"c")]
    with sc.Client(serve(fake_vision())) as client:
        results = list(client.classify_many(files))  # type: ignore[arg-type]
    assert [isinstance(result, sc.Failure) for result in results] == [False, True, False]


def test_an_endless_file_is_read_up_to_the_limit() -> None:
    taken = []

    class Endless:
        def read(self, size: int = -1) -> bytes:
            taken.append(size)
            return bytes(size)

    limit = 10 * 2**20
    assert limit < len(read_open_file(Endless(), limit)) <= limit + 2**20
    assert sum(taken) <= limit + 2**20
