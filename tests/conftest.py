"""Pictures, and models small enough to write in a test: real ONNX files with card and certificate."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import (
    COLOR_MODE_RGB,
    RESIZE_RULE_STRETCH,
    TASK_CLASSIFY,
    Certificate,
    GoldenPicture,
    GoldenTensor,
    InputSpec,
    ModelCard,
    Provenance,
    ValueRange,
)
from spyglass_contract.card import card_from_metadata, write_card
from spyglass_contract.certificate import golden_tensor, pixels_sha256
from spyglass_contract.pixels import prepare

pytest_plugins = ["tiny_segmentation"]

REPOSITORY = Path(__file__).resolve().parents[1]

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SIZE = 8


@pytest.fixture(scope="session")
def repository_root() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def chelsea() -> bytes:
    """A JPEG of a cat, 451 × 300."""
    return (REPOSITORY / "examples/chelsea.jpg").read_bytes()


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encodes a Pillow image: `encode(image, "PNG", **options)`."""
    return encode_image


def encode_image(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def color_picture() -> Callable[..., bytes]:
    """A PNG in one colour: `color_picture("red")`, or any RGB triple, of any (width, height)."""

    def make(color: str | tuple[int, int, int], size: tuple[int, int] = (20, 12)) -> bytes:
        return encode_image(Image.new("RGB", size, COLORS[color] if isinstance(color, str) else color))

    return make


@pytest.fixture(scope="session")
def png_chunk() -> Callable[[bytes, bytes], bytes]:
    """A chunk of a PNG with its length and checksum: `png_chunk(b"IDAT", data)`."""
    return _png_chunk


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _png_bomb() -> bytes:
    header = struct.pack(">LLBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(bytes(60_000)))
    return b"\x89PNG\r\n\x1a\n" + chunks + _png_chunk(b"IEND", b"")


def _gif_bomb(screen: int, frame: int) -> bytes:
    palette = bytes([0, 0, 0, 255, 255, 255])
    descriptor = b"," + struct.pack("<HHHHB", 0, 0, frame, frame, 0)
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", screen, screen, 0x80, 0, 0)
        + palette
        + descriptor
        + b"\2\2\x4c\1\0;"
    )


def _bmp_bomb(height: int) -> bytes:
    header = struct.pack("<LllHHLLllLL", 40, 60_000, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", 54 + 8, 0, 0, 54) + header + bytes(8)


def _tiff_bomb() -> bytes:
    entries = [(256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (278, 60_000), (279, 8)]
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + directory + bytes(4)


def _webp_bomb(kind: bytes, header: bytes) -> bytes:
    chunk = kind + struct.pack("<L", len(header)) + header
    return b"RIFF" + struct.pack("<L", 4 + len(chunk)) + b"WEBP" + chunk


def _webp_of_81_megapixels() -> bytes:
    """Few enough for Pillow, which takes 600 MB when it opens such a file."""
    data = encode_image(Image.new("RGB", (16, 16)), "WEBP", lossless=True)
    side = 9000 - 1
    return data[:21] + struct.pack("<L", side | side << 14) + data[25:]


def _jpeg_bomb() -> bytes:
    data = encode_image(Image.new("RGB", (16, 16)), "JPEG")
    size = data.index(b"\xff\xc0") + 5
    return data[:size] + struct.pack(">HH", 65_500, 65_500) + data[size + 4 :]


# A few dozen bytes each that promise hundreds of megapixels, with headers that are otherwise sound.
BOMBS: dict[str, Callable[[], bytes]] = {
    "png": _png_bomb,
    "gif screen": lambda: _gif_bomb(65_535, 65_535),
    "gif frame": lambda: _gif_bomb(1, 65_535),
    "bmp": lambda: _bmp_bomb(60_000),
    "bmp top-down": lambda: _bmp_bomb(-60_000),
    "tiff": _tiff_bomb,
    "webp extended": lambda: _webp_bomb(b"VP8X", bytes(4) + b"\xff\x3f\0" * 2 + bytes(16)),
    "webp lossless": lambda: _webp_bomb(b"VP8L", b"\x2f" + struct.pack("<L", (1 << 28) - 1) + bytes(16)),
    "webp lossy": lambda: _webp_bomb(b"VP8 ", b"\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(16)),
    "webp sound": _webp_of_81_megapixels,
    "jpeg": _jpeg_bomb,
}


@pytest.fixture(scope="session")
def bombs() -> dict[str, bytes]:
    """Small files of every format whose headers promise more pixels than any limit allows."""
    return {name: make() for name, make in BOMBS.items()}


@pytest.fixture(params=BOMBS)
def bomb(request: pytest.FixtureRequest, bombs: dict[str, bytes]) -> bytes:
    """Each of the bombs in turn."""
    return bombs[request.param]


def tiny_card(name: str = "colors", version: int = 1) -> ModelCard:
    """A classifier of the mean colour: red, green or blue; input 8 × 8 RGB."""
    spec = InputSpec(
        tensor="image",
        height=SIZE,
        width=SIZE,
        color_mode=COLOR_MODE_RGB,
        resize=RESIZE_RULE_STRETCH,
        value_range=ValueRange(minimum=0, maximum=255),
        scaled_decode_margin=2,
    )
    card = ModelCard(
        name=name,
        version=version,
        task=TASK_CLASSIFY,
        description="Tells red, green and blue apart.",
        input=spec,
        class_names=list(COLORS),
        provenance=Provenance(architecture="mean", training_data="none", licence="Apache-2.0"),
    )
    card.certificate.CopyFrom(tiny_certificate(spec))
    return card


def tiny_answer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the tiny network answers: softmax of a twentieth of the mean colour, in numpy."""
    logits = pixels.astype(np.float64).mean(axis=(1, 2)) / 20
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def tiny_certificate(spec: InputSpec) -> Certificate:
    pictures = []
    for color in COLORS:
        encoded = encode_image(Image.new("RGB", (20, 12), COLORS[color]))
        pixels = prepare(encoded, spec).pixels
        pictures.append(
            GoldenPicture(
                name=f"{color}.png",
                encoded=encoded,
                pixels_sha256=pixels_sha256(pixels),
                expected=tiny_answer(pixels[np.newaxis])[0],
            )
        )
    tensors = [
        GoldenTensor(seed=seed, expected=tiny_answer(golden_tensor(seed, spec))[0]) for seed in range(2)
    ]
    return Certificate(reference="numpy", tolerance=1e-5, pictures=pictures, tensors=tensors)


def write_tiny_model(root: Path, card: ModelCard) -> Path:
    """Writes the tiny network with `card` to NAME/VERSION/model.onnx below `root`."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=types.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2], keepdims=0),
            helper.make_node("Div", ["mean", "twenty"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", types.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", types.FLOAT, ["batch", 3])],
        [helper.make_tensor("twenty", types.FLOAT, [], [20.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    write_card(model, card)
    path = root / card.name / str(card.version) / "model.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until `condition()` holds, and fails where it does not within half a minute."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.002)

    return wait


@pytest.fixture(scope="session")
def answer_colors() -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The tiny network in numpy: uint8 [batch, 8, 8, 3] to float32 [batch, 3]."""
    return tiny_answer


@pytest.fixture
def make_card() -> Callable[..., ModelCard]:
    """The card of the tiny network: `make_card(name="colors", version=1)`."""
    return tiny_card


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny model file below `tmp_path / "models"`: `make_model(card)`, or the colour card."""

    def make(card: ModelCard | None = None) -> Path:
        return write_tiny_model(tmp_path / "models", card or tiny_card())

    return make


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `colors`, version 1."""
    root = tmp_path_factory.mktemp("models")
    write_tiny_model(root, tiny_card())
    return root


class ServerProcess:
    """`spyglass serve` in a process of its own, on any free port; its log is read as it is written."""

    def __init__(self, flags: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spyglass_cli", "serve", "--host", "localhost", "--port", "0", *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = 0
        self.log: list[str] = []
        self._ready = Event()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def wait_until_serving(self) -> None:
        assert self._ready.wait(60)
        assert self.port, "".join(self.log)

    def wait_until_ended(self) -> int:
        """The exit code; the log is whole by then."""
        code = self.process.wait(60)
        self._reader.join(60)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait_until_ended()
        assert self.process.stderr
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"serving on port (\d+)", line):
                self.port = int(found[1])
                self._ready.set()
        self._ready.set()


@pytest.fixture(scope="session")
def spawn_server() -> Iterator[Callable[..., ServerProcess]]:
    """Starts a server process that lives as long as the tests do: `spawn_server("--models", path, …)`."""
    spawned: list[ServerProcess] = []

    def spawn(*flags: object) -> ServerProcess:
        spawned.append(ServerProcess(tuple(str(flag) for flag in flags)))
        return spawned[-1]

    yield spawn
    for server in spawned:
        server.end()


def add_heatmap(path: Path, explained_layer: str = "floats") -> Path:
    """Puts a heatmap into the tiny network at `path`: each class's map is its own colour of the input."""
    onnx = pytest.importorskip("onnx")
    from spyglass_export.gradcam import attach_gradcam

    model = attach_gradcam(onnx.load(str(path)), feature_map=explained_layer)
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    card.explained_layer = explained_layer
    write_card(model, card)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def attach_heatmap() -> Callable[[Path], Path]:
    return add_heatmap


@pytest.fixture(scope="session")
def explaining_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`colors` and `twins`, which has two classes named red, with heatmaps; `plain` without one."""
    root = tmp_path_factory.mktemp("explaining-models")
    twins = tiny_card("twins")
    twins.class_names[1] = "red"
    write_tiny_model(root, tiny_card("plain"))
    for card in (tiny_card(), twins):
        add_heatmap(write_tiny_model(root, card))
    return root


@pytest.fixture(scope="session")
def explaining_server(explaining_models: Path) -> Iterator[str]:
    """HOST:PORT of a server of the models with heatmaps; `colors` is the default."""
    pytest.importorskip("onnxruntime")
    from spyglass_server.server import Server
    from spyglass_server.settings import ServerSettings

    settings = ServerSettings(host="127.0.0.1", port=0, models=explaining_models, default_model=["colors"])
    server = Server(settings)
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(grace=0)


@pytest.fixture(scope="session")
def gradient_picture() -> Image.Image:
    """40 × 20 pixels in RGB: red grows to the right, green downwards, and there is no blue."""
    red, green = np.meshgrid(np.linspace(0, 255, 40), np.linspace(0, 255, 20))
    pixels = np.stack([red, green, np.zeros_like(red)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)
