"""MNIST is read from one file, by the function that the server uses for images."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_contract.images.pixels import prepare
from spyglass_training.datasets.dataset import hold_out
from spyglass_training.datasets.formats import mnist
from spyglass_training.models.mnist_convnet import INPUT

pytestmark = pytest.mark.training


def test_the_contract_prepares_every_image(digits_file: Path) -> None:
    dataset = mnist.load(digits_file, INPUT)
    assert dataset.train.pixels.shape == (4000, 28, 28, 1) and dataset.train.pixels.dtype == np.uint8
    assert len(dataset.test) == 1000 and set(dataset.test.labels) == set(range(10))
    with np.load(digits_file) as arrays:
        np.testing.assert_array_equal(dataset.test.pixels[7], prepare(arrays["x_test"][7], INPUT).pixels)
        np.testing.assert_array_equal(dataset.test.pixels[..., 0], arrays["x_test"])


def test_the_error_for_a_missing_file_names_the_source_and_the_licence(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"mnist\.npz.*CC BY-SA 3\.0.*https://.*--data"):
        mnist.load(tmp_path / "mnist.npz", INPUT)


def test_a_file_without_mnists_arrays_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(InvalidInput, match="y_train"):
        mnist.load(path, INPUT)


def write_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 28, 28), np.uint8))


def write_damaged(path: Path) -> None:
    """Write an archive with changed bytes in a compressed array."""
    noise = np.random.default_rng(0).integers(0, 256, (10, 28, 28), np.uint8)
    np.savez_compressed(path, x_train=noise, y_train=noise, x_test=noise, y_test=noise)
    data = bytearray(path.read_bytes())
    data[500:600] = bytes(100)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"no archive at all"),
        lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
        write_npy,
        write_damaged,
    ],
    ids=["text", "noise", "a single array", "damaged"],
)
def test_a_file_that_is_not_an_archive_of_arrays_is_rejected_without_numpys_advice(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    write(tmp_path / "mnist.npz")
    with pytest.raises(InvalidInput, match=r"mnist\.npz is not MNIST: (?!.*pickle)"):
        mnist.load(tmp_path / "mnist.npz", INPUT)


def test_the_error_names_a_damaged_idx_file(tmp_path: Path) -> None:
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        packed = bytearray(gzip.compress(np.random.default_rng(0).bytes(2000)))
        packed[10:60] = bytes(50)
        (tmp_path / f"{name}-ubyte.gz").write_bytes(packed)
    with pytest.raises(InvalidInput, match=r"is not MNIST: train-images-idx3-ubyte\.gz is damaged"):
        mnist.load(tmp_path, INPUT)


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ((10, 32, 32), "uint8", r"\[count, 28, 28\], not \[10, 32, 32\]"),
        ((10, 28, 28, 3), "uint8", r"\[count, 28, 28\], not \[10, 28, 28, 3\]"),
        ((10, 28, 28), "float32", "must be uint8 .*, not float32"),
    ],
)
def test_other_images_are_rejected(tmp_path: Path, shape: tuple[int, ...], kind: str, message: str) -> None:
    images, labels = np.zeros(shape, kind), np.arange(10, dtype=np.uint8)
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(InvalidInput, match=f"is not MNIST.*{message}"):
        mnist.load(tmp_path / "own.npz", INPUT)


def test_labels_that_are_not_integers_are_rejected(tmp_path: Path) -> None:
    images, labels = np.zeros((10, 28, 28), np.uint8), np.arange(10, dtype=np.float32)
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(InvalidInput, match="labels must be integers, not float32"):
        mnist.load(tmp_path / "own.npz", INPUT)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 10], "labels must be in 0 to 9"), ([0], "do not fit together")],
    ids=["eleven classes", "one label too few"],
)
def test_labels_that_do_not_fit_the_images_are_rejected(
    tmp_path: Path, labels: list[int], message: str
) -> None:
    path = tmp_path / "mnist.npz"
    images, given = np.zeros((2, 28, 28), np.uint8), np.array(labels, np.uint8)
    np.savez(path, x_train=images, y_train=given, x_test=images, y_test=given)
    with pytest.raises(InvalidInput, match=message):
        mnist.load(path, INPUT)


def test_the_held_out_part_is_random_disjoint_and_fixed_by_the_seed(digits_file: Path) -> None:
    split = mnist.load(digits_file, INPUT).test
    kept, held_out = hold_out(split, 0.1, seed=3)
    assert (len(kept), len(held_out)) == (900, 100)
    both = np.concatenate([kept.pixels, held_out.pixels]).reshape(1000, -1)
    np.testing.assert_array_equal(np.sort(both.sum(1)), np.sort(split.pixels.reshape(1000, -1).sum(1)))
    np.testing.assert_array_equal(hold_out(split, 0.1, seed=3)[1].pixels, held_out.pixels)
    assert not np.array_equal(hold_out(split, 0.1, seed=4)[1].labels, held_out.labels)
