"""Files of MNIST, Fashion-MNIST and CIFAR-10 are read, and incomplete ones are rejected."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("keras")

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets.formats import cifar10, mnist

pytestmark = pytest.mark.training

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array: NDArray[np.uint8]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.tobytes()


@pytest.fixture
def grey_spec() -> InputSpec:
    return InputSpec(tensor="image", height=28, width=28, color_mode=COLOR_MODE_GREY, resize=1)


@pytest.fixture
def crops(photographs: dict[str, Image.Image]) -> NDArray[np.uint8]:
    """Twenty images of a cat, uint8 [20, 32, 32, 3]."""
    cat = np.asarray(photographs["cat"])
    return np.stack([cat[10 * index : 10 * index + 32, 8 * index : 8 * index + 32] for index in range(20)])


@pytest.fixture
def idx_arrays(crops: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    grey = np.ascontiguousarray(crops[:, :28, :28, 0])
    labels = (np.arange(20) % 10).astype(np.uint8)
    return [grey[:15], labels[:15], grey[15:], labels[15:]]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_idx_files_are_read_plain_and_compressed(
    tmp_path: Path, grey_spec: InputSpec, idx_arrays: list[NDArray[np.uint8]], compressed: bool
) -> None:
    for name, array in zip(IDX_NAMES, idx_arrays, strict=True):
        path = tmp_path / (f"{name}.gz" if compressed else name)
        path.write_bytes(gzip.compress(idx(array)) if compressed else idx(array))
    digits, clothes = mnist.load(tmp_path, grey_spec), mnist.load_fashion(tmp_path, grey_spec)
    for dataset in (digits, clothes):
        np.testing.assert_array_equal(dataset.train.pixels[..., 0], idx_arrays[0])
        assert dataset.test.labels.tolist() == idx_arrays[3].tolist()
    assert digits.class_names[9] == "9" and clothes.class_names[9] == "Ankle boot"
    assert (clothes.record.name, clothes.record.licence) == ("Fashion-MNIST", "MIT")


def test_idx_files_that_are_cut_off_or_of_another_type_are_rejected(
    tmp_path: Path, grey_spec: InputSpec, idx_arrays: list[NDArray[np.uint8]]
) -> None:
    def load_with(images: bytes) -> None:
        for name, array in zip(IDX_NAMES, idx_arrays, strict=True):
            (tmp_path / name).write_bytes(idx(array))
        (tmp_path / IDX_NAMES[0]).write_bytes(images)
        mnist.load(tmp_path, grey_spec)

    whole = idx(idx_arrays[0])
    load_with(whole)
    for images in (
        whole[:-1],
        whole + b"\0",
        whole[:9],
        b"",
        b"\0\0\x0d\3" + whole[4:],
        gzip.compress(whole)[:-9],
    ):
        with pytest.raises(InvalidInput, match="is not MNIST: train-images"):
            load_with(images)
    (tmp_path / IDX_NAMES[3]).unlink()
    with pytest.raises(InvalidInput, match="has neither t10k-labels"):
        mnist.load(tmp_path, grey_spec)


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as strings of Python 2: BINSTRING, four bytes of length, the bytes."""

    def save_string(self, value: str | bytes) -> None:
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)

    dispatch: ClassVar[dict[type, Any]] = {**pickle._Pickler.dispatch, str: save_string, bytes: save_string}


def batch(crops: NDArray[np.uint8], labels: list[int]) -> bytes:
    """Return a batch as the authors wrote it: by Python 2, with numpy's old module name."""
    rows = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).reshape(len(crops), -1)
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump({"data": rows, "labels": labels})
    return buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


@pytest.fixture
def cifar(tmp_path: Path, crops: NDArray[np.uint8]) -> Path:
    """Six files in the layout of CIFAR-10, three images each; every class has a training image."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for index, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        (folder / name).write_bytes(batch(crops[3 * index : 3 * index + 3], [index, 9, (5 + index) % 9]))
    return folder


def test_cifar10_is_read_from_its_folder_its_archive_and_kerass_cache(
    cifar: Path, crops: NDArray[np.uint8], spec: InputSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    square = InputSpec()
    square.CopyFrom(spec)
    square.height = square.width = 32
    archive = cifar.parent / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as writer:
        writer.add(cifar, cifar.name)
    cache = cifar.parent / "keras/datasets/cifar-10-batches-py-target"
    cache.mkdir(parents=True)
    (cache / cifar.name).symlink_to(cifar)
    monkeypatch.setenv("KERAS_HOME", str(cifar.parent / "keras"))
    for path in (cifar, cifar.parent, archive, cifar10.home()):
        assert cifar10.recognises(path)
        dataset = cifar10.load(path, square)
        np.testing.assert_array_equal(dataset.train.pixels, crops[:15])
        np.testing.assert_array_equal(dataset.test.pixels, crops[15:18])
        assert dataset.train.labels.tolist() == [0, 9, 5, 1, 9, 6, 2, 9, 7, 3, 9, 8, 4, 9, 0]
        assert dataset.class_names[3] == "cat"


def test_the_error_for_missing_or_incomplete_cifar10_names_its_source(cifar: Path, spec: InputSpec) -> None:
    with pytest.raises(NotFound, match=r"no licence stated.*cs\.toronto\.edu"):
        cifar10.load(cifar / "nowhere", spec)
    (cifar / "data_batch_3").unlink()
    with pytest.raises(InvalidInput, match="data_batch_3"):
        cifar10.load(cifar, spec)
    (cifar / "data_batch_3").write_bytes(b"no pickle")
    with pytest.raises(InvalidInput, match="pickle"):
        cifar10.load(cifar, spec)
    (cifar / "cifar-10-python.tar.gz").write_bytes(b"no archive")
    with pytest.raises(InvalidInput, match="is not CIFAR-10"):
        cifar10.load(cifar / "cifar-10-python.tar.gz", spec)
