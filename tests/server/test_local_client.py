"""Models in this process: the client gives the same results and errors as with a server."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

import spyglass_client as sc
from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.images.header import Limits
from spyglass_server import LocalTransport, local_client, local_transport
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.lifecycle.loading import load_model
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.workers import Workers

PATIENCE = 30

MakeCard = Callable[..., ModelCard]
MakeModel = Callable[..., Path]
MakeImage = Callable[..., bytes]


@pytest.fixture
def both(
    run_server: Callable[..., Any], explaining_models: Path, segmenting_models: Path, tmp_path: Path
) -> Iterator[tuple[sc.Client, sc.Client]]:
    """A client of a server and a local client, of the same models."""
    models = tmp_path / "models"
    for folder in (segmenting_models, explaining_models):
        shutil.copytree(folder, models, dirs_exist_ok=True)
    running = run_server(models=models)
    with sc.Client(f"localhost:{running.server.port}") as remote, local_client(models) as local:
        yield remote, local


def slow_image() -> bytes:
    """Return a file that takes longer to decode than the millisecond to which gRPC rounds deadlines up."""
    file = io.BytesIO()
    PillowImage.new("RGB", (3000, 3000)).save(file, "PNG")
    return file.getvalue()


def without_timing(result: Any) -> Any:
    changes: dict[str, Any] = {"timing": None}
    if isinstance(result, sc.Heatmap):
        changes["further"] = tuple(map(without_timing, result.further))
    return dataclasses.replace(result, **changes)


@pytest.mark.parametrize(
    "call",
    [
        lambda client, image: client.classify(image, model="colors", top_k=2, id="one"),
        lambda client, image: client.classify(np.full((9, 7, 3), 200, np.uint8), model="colors:1"),
        lambda client, image: client.heatmap(image, model="colors", further=["blue"]),
        lambda client, image: client.segment(image, model="pad", soft="red", size="model"),
    ],
    ids=["classify", "pixels", "heatmap", "segment"],
)
def test_a_local_client_gives_the_results_of_a_server(
    both: tuple[sc.Client, sc.Client], color_image: MakeImage, call: Callable[..., Any]
) -> None:
    remote, local = (call(client, color_image("red")) for client in both)

    assert without_timing(local) == without_timing(remote)
    assert local.timing.inference_ms > 0 and local.timing.batch_size == 1
    if isinstance(local, sc.Heatmap):
        np.testing.assert_array_equal(local.feature_map, remote.feature_map)
    if isinstance(local, sc.Segmentation):
        assert (local.png, local.soft_png) == (remote.png, remote.soft_png)


def test_a_local_client_lists_the_models_of_a_server(both: tuple[sc.Client, sc.Client]) -> None:
    remote, local = (client.models() for client in both)

    assert [(one.name, one.version, one.task, one.sha256) for one in local] == [
        (one.name, one.version, one.task, one.sha256) for one in remote
    ]
    assert both[1].model("pad").card == both[0].model("pad").card


@pytest.mark.parametrize(
    "call",
    [
        lambda client, image: client.classify(b"no image", model="colors"),
        lambda client, image: client.classify(b"", model="colors"),
        lambda client, image: client.classify(image, model="colors", top_k=9),
        lambda client, image: client.classify(image, model="other"),
        lambda client, image: client.classify(image, model="colors:7"),
        lambda client, image: client.classify(image, model="colors@stable"),
        lambda client, image: client.classify(image, model="pad"),
        lambda client, image: client.heatmap(image, model="colors", target="purple"),
        lambda client, image: client.heatmap(image, model="colors", further=[0] * 33),
        lambda client, image: client.segment(image, model="pad", soft=99),
        lambda client, image: client.classify(bytes(33 * 1024 * 1024), model="colors"),
        lambda client, image: client.classify(slow_image(), model="colors", timeout=1e-9),
        lambda client, image: client.model("other"),
    ],
)
def test_a_local_client_raises_the_errors_of_a_server(
    both: tuple[sc.Client, sc.Client], color_image: MakeImage, call: Callable[..., Any]
) -> None:
    errors = []
    for client in both:
        with pytest.raises(sc.SpyglassError) as raised:
            call(client, color_image("red"))
        errors.append(raised.value)

    remote, local = errors
    assert type(local) is type(remote)
    assert (local.reason, local.field) == (remote.reason, remote.field)
    if local.reason != "DEADLINE_EXCEEDED":
        assert local.message == remote.message


def test_a_stream_is_in_order_and_one_bad_image_does_not_end_it(
    both: tuple[sc.Client, sc.Client], color_image: MakeImage
) -> None:
    images = [color_image("red"), b"no image", color_image("blue"), color_image("green")] * 20
    for client in both:
        results = list(client.classify_many(images, model="colors"))
        assert [result.id for result in results] == [str(number) for number in range(80)]
        assert [result.error.reason if result.error else result.best.name for result in results] == [
            "red",
            "IMAGE_UNRECOGNISED",
            "blue",
            "green",
        ] * 20


def test_an_asyncio_client_takes_the_local_transport(tiny_models: Path, color_image: MakeImage) -> None:
    async def classify_both_ways() -> tuple[list[str], list[str]]:
        async with sc.AsyncClient(transport=local_transport(tiny_models)) as client:
            colors = ["red", "green", "blue"] * 5
            single = await asyncio.gather(*(client.classify(color_image(color)) for color in colors))
            streamed = [result.best.name async for result in client.classify_many(map(color_image, colors))]
            return [result.best.name for result in single], streamed

    assert asyncio.run(classify_both_ways()) == (["red", "green", "blue"] * 5,) * 2


@pytest.fixture
def gated(open_network: Callable[[Path], Model]) -> Iterator[LocalTransport]:
    """A local transport of the gated network."""
    repository = Repository()
    repository.add(load_model(Path("colors/1/model.onnx"), open_network))
    engine = Engine(repository, Workers(1, Bounds(4)), Limits())
    transport = LocalTransport(engine, window=2)
    yield transport
    transport.close()


def test_a_cancelled_task_cancels_its_local_call(
    gated: LocalTransport, network: Any, color_image: MakeImage, eventually: Callable[..., None]
) -> None:
    async def cancel_the_second() -> None:
        client = sc.AsyncClient(transport=gated)
        first = asyncio.create_task(client.classify(color_image("red")))
        assert await asyncio.to_thread(network.entered.acquire, timeout=PATIENCE)
        second = asyncio.create_task(client.classify(color_image("blue")))
        await asyncio.to_thread(eventually, lambda: gated._engine.workers.inside == 2)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await asyncio.to_thread(eventually, lambda: gated._engine.workers.inside == 1)
        network.gate.set()
        assert (await first).best.name == "red"

    network.close_gate()
    asyncio.run(cancel_the_second())
    assert network.batches == [1]


def test_a_stream_that_the_caller_ends_early_cancels_the_images_in_work(
    gated: LocalTransport, network: Any, color_image: MakeImage, eventually: Callable[..., None]
) -> None:
    network.close_gate()
    client = sc.Client(transport=gated)
    results = client.classify_many([color_image("red")] * 50, timeout=0.2)
    assert next(results).error.reason == "DEADLINE_EXCEEDED"
    results.close()
    network.gate.set()

    eventually(lambda: gated._engine.workers.inside == 0)
    assert sum(network.batches) <= 3


def test_closing_cancels_the_calls_in_progress(
    gated: LocalTransport, network: Any, color_image: MakeImage, eventually: Callable[..., None]
) -> None:
    network.close_gate()
    client, ended, errors = sc.Client(transport=gated), Event(), []

    def classify() -> None:
        try:
            client.classify(color_image("blue"))
        except sc.SpyglassError as error:
            errors.append(error)
        ended.set()

    for _ in range(2):
        Thread(target=classify, daemon=True).start()
    eventually(lambda: gated._engine.workers.inside == 2)
    assert network.entered.acquire(timeout=PATIENCE)
    closing = Thread(target=client.close, daemon=True)
    closing.start()
    assert ended.wait(PATIENCE)
    network.gate.set()
    closing.join(PATIENCE)

    assert not closing.is_alive()
    assert isinstance(errors[0], sc.Cancelled)
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.classify(color_image("red"))
    client.close()


def test_an_unexpected_error_has_its_cause_in_the_same_process(
    gated: LocalTransport, network: Any, color_image: MakeImage
) -> None:
    def fail(pixels: object) -> object:
        raise RuntimeError("kernel failed")

    network.compute = fail
    client = sc.Client(transport=gated)

    with pytest.raises(sc.InternalError, match="RuntimeError: kernel failed"):
        client.classify(color_image("red"))
    (result,) = client.classify_many([color_image("red")])
    assert "kernel failed" in str(result.error)


def test_the_bundled_default_model_comes_before_any_other(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    make_model(make_card("colors"))
    make_model(make_card("imagenet"))

    with local_client(tmp_path / "models") as client:
        assert client.classify(color_image("blue")).model.name == "imagenet"


def test_among_several_models_there_is_no_default(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    make_model(make_card("colors"))
    make_model(make_card("paints"))

    with (
        local_client(tmp_path / "models") as client,
        pytest.raises(sc.NotFound, match="no default model"),
    ):
        client.classify(color_image("blue"))


def test_without_a_version_the_highest_is_used(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    for version in (2, 10, 9):
        make_model(make_card("colors", version))

    with local_client(str(tmp_path / "models")) as client:
        image = color_image("blue")
        assert client.classify(image).model.version == 10
        assert client.classify(image, model="colors:2").model.version == 2
        with pytest.raises(sc.NotFound, match="colors has no version 3; served: 2, 9, 10"):
            client.classify(image, model="colors:3")


def test_a_model_is_not_opened_before_a_call_names_it(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    make_model(make_card("colors"))
    make_model(make_card("broken")).write_bytes(b"no model")

    with local_client(tmp_path / "models") as client:
        assert client.classify(color_image("red"), model="colors").classes
        with pytest.raises(ModelError, match="broken/1"):
            client.classify(color_image("red"), model="broken")
        with pytest.raises(ModelError, match="broken/1"):
            list(client.classify_many([color_image("red")], model="broken"))


def test_a_model_is_opened_only_once(make_model: MakeModel, tmp_path: Path, color_image: MakeImage) -> None:
    path = make_model()

    with local_client(tmp_path / "models") as client:
        client.classify(color_image("red"))
        shutil.rmtree(path.parent)
        assert client.classify(color_image("red")).classes


def test_a_model_that_fails_its_certificate_is_not_used(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    card = make_card()
    card.certificate.tensors[0].expected[0] += 0.01
    make_model(card)

    with local_client(tmp_path / "models") as client, pytest.raises(CertificateError, match="colors/1"):
        client.classify(color_image("red"))


def test_a_call_ends_at_its_deadline(gated: LocalTransport, network: Any, color_image: MakeImage) -> None:
    network.close_gate()
    started = time.monotonic()

    with pytest.raises(sc.DeadlineExceeded):
        sc.Client(transport=gated).classify(color_image("red"), timeout=0.2)

    assert time.monotonic() - started < PATIENCE
    network.gate.set()


def test_models_in_this_process_cannot_be_changed(tiny_models: Path) -> None:
    with local_client(tiny_models) as client, pytest.raises(sc.Unimplemented, match="needs a server"):
        client.admin.load("colors:1")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a folder of models"):
        local_client(tmp_path / "nowhere")


def test_a_missing_device_is_an_error(tiny_models: Path, color_image: MakeImage) -> None:
    with local_client(tiny_models, device="cuda") as client, pytest.raises(ModelError, match="no CUDA"):
        client.classify(color_image("red"))


def test_a_local_client_does_not_import_grpc(tiny_models: Path, repository_root: Path) -> None:
    program = (
        "import sys\n"
        "from spyglass_server import local_client\n"
        f"with local_client({str(tiny_models)!r}) as client:\n"
        f"    client.classify({str(repository_root / 'examples/chelsea.jpg')!r})\n"
        f"    list(client.classify_many([{str(repository_root / 'examples/chelsea.jpg')!r}]))\n"
        "print({'grpc', 'onnx', 'tensorflow', 'pydantic'} & set(sys.modules))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"
