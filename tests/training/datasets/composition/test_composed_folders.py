"""Composed images have exact masks, and no test image shows an object of the training part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError, InvalidInput, NotFound
from spyglass_training.datasets.composition.folder import CompositionOptions, compose_folder, deal
from spyglass_training.datasets.composition.scene import SceneOptions, compose, trimap
from spyglass_training.datasets.formats import pets

WriteCrops = Callable[..., list[Path]]

OPTIONS = CompositionOptions(images=20, scene=SceneOptions(size=64))


def draw_cutout(color: tuple[int, int, int]) -> Image.Image:
    """A disc of one colour, transparent around it."""
    cutout = Image.new("RGBA", (60, 50), (255, 255, 255, 0))
    ImageDraw.Draw(cutout).ellipse((10, 5, 49, 44), fill=(*color, 255))
    return cutout


@pytest.fixture
def material(tmp_path: Path, write_crops: WriteCrops) -> tuple[Path, Path]:
    """Ten cut-outs in two groups, and ten backgrounds."""
    for index in range(10):
        folder = tmp_path / "cutouts" / ("discs" if index < 6 else "plates")
        folder.mkdir(parents=True, exist_ok=True)
        draw_cutout((25 * index, 0, 0)).save(folder / f"{chr(97 + index)}.png")
    write_crops("cup", tmp_path / "backgrounds", [f"{index}.jpg" for index in range(10)])
    return tmp_path / "cutouts", tmp_path / "backgrounds"


def test_a_composed_folder_is_read_as_a_data_set_of_pets(
    material: tuple[Path, Path], tmp_path: Path, spec: InputSpec
) -> None:
    counts = compose_folder(*material, tmp_path / "out", OPTIONS)
    assert counts == {"train": 14, "validation": 2, "test": 4}
    dataset = pets.load(tmp_path / "out", spec)
    assert dataset.validation is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (14, 2, 4)
    assert dataset.record.name == OPTIONS.name and dataset.record.licence == OPTIONS.licence
    assert set(np.unique(dataset.train.labels)) == {0, 1, 2}
    assert not dataset.skipped


def test_no_object_and_no_background_is_in_two_parts(material: tuple[Path, Path], tmp_path: Path) -> None:
    compose_folder(*material, tmp_path / "out", OPTIONS)
    parts = json.loads((tmp_path / "out/about.json").read_text())["parts"]
    for kind, count in (("cutouts", 10), ("backgrounds", 10)):
        names = [name for part in parts.values() for name in part[kind]]
        assert len(names) == len(set(names)) == count
        assert all(part[kind] for part in parts.values())


def test_variants_of_an_object_go_to_the_same_part() -> None:
    names = [
        "lion",
        "lion-2",
        "pig_golden",
        "pig_golden2",
        "owl",
        "crow",
        "yak",
        "goat-1",
        "goat-3",
        "12",
        "13",
    ]
    for seed in range(5):
        dealt = deal([Path(f"{name}.png") for name in names], np.random.default_rng(seed))
        part_of = {path.stem: part for part, paths in dealt.items() for path in paths}
        assert part_of["lion"] == part_of["lion-2"] and part_of["pig_golden"] == part_of["pig_golden2"]
        assert sorted(part_of) == sorted(names) and set(part_of.values()) == {"train", "validation", "test"}


def test_a_seed_makes_the_same_images_and_another_seed_others(
    material: tuple[Path, Path], tmp_path: Path
) -> None:
    def composed(name: str, seed: int) -> list[bytes]:
        options = CompositionOptions(images=10, seed=seed, scene=SceneOptions(size=48))
        compose_folder(*material, tmp_path / name, options)
        return [path.read_bytes() for path in sorted((tmp_path / name).rglob("train_*"))]

    assert composed("one", 3) == composed("two", 3) != composed("three", 4)


def test_the_mask_covers_the_visible_object() -> None:
    white, options = Image.new("RGB", (80, 60), "white"), SceneOptions(size=64, contour=2, softness=0)
    for seed in range(20):
        scene, mask = compose([white], [draw_cutout((0, 0, 0))], options, np.random.default_rng(seed))
        # Without the border of the image: the edge of an object that leaves the image may lie outside.
        pixels, values = (np.asarray(image)[2:-2, 2:-2] for image in (scene.convert("L"), mask))
        assert pixels[values == 1].max(initial=0) < 60 < 150 < pixels[values == 2].min()
        # The contour is about two pixels wide on either side of the edge, and never missing.
        assert (values == 3).any()


def test_the_contour_has_the_chosen_width_and_runs_between_objects_too() -> None:
    owners = np.zeros((20, 40), np.uint8)
    owners[:, 10:20], owners[:, 20:30] = 1, 2
    for contour in (0, 1, 3):
        row = trimap(owners, contour)[10]
        expected = np.array([2] * 10 + [1] * 20 + [2] * 10)
        for edge in (10, 20, 30):
            expected[edge - contour : edge + contour] = 3
        assert row.tolist() == expected.tolist()


def test_the_error_names_invalid_material(material: tuple[Path, Path], tmp_path: Path) -> None:
    cutouts, backgrounds = material
    with pytest.raises(NotFound, match="nowhere"):
        compose_folder(tmp_path / "nowhere", backgrounds, tmp_path / "out", OPTIONS)
    with pytest.raises(InvalidInput, match="too few"):
        compose_folder(cutouts / "plates", backgrounds, tmp_path / "out", OPTIONS)
    for path in (cutouts / "discs").iterdir():
        Image.new("RGB", (20, 20)).save(path)
    with pytest.raises(ImageError, match=r"\.png: not a cut-out"):
        compose_folder(cutouts, backgrounds, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InvalidInput, match=r"must not lie in .*backgrounds"):
        compose_folder(cutouts, backgrounds, backgrounds / "out", OPTIONS)
    with pytest.raises(InvalidInput, match="not empty"):
        compose_folder(cutouts, backgrounds, backgrounds, OPTIONS)


def test_a_background_that_cannot_be_read_is_found_before_anything_is_written(
    material: tuple[Path, Path], tmp_path: Path
) -> None:
    background = material[1] / "7.jpg"
    background.write_bytes(background.read_bytes()[:-200])
    # A single composed image would probably not use this background.
    few = CompositionOptions(images=1, scene=SceneOptions(size=16))
    with pytest.raises(ImageError, match=r"7\.jpg"):
        compose_folder(*material, tmp_path / "out", few)
    assert not (tmp_path / "out").exists()


def test_two_backgrounds_are_blended() -> None:
    plain = [Image.new("RGB", (80, 60), color) for color in ("black", "white")]
    for seed in range(20):
        scene, mask = compose(plain, [], SceneOptions(size=64), np.random.default_rng(seed))
        levels = np.asarray(scene.convert("L"))
        assert levels.min() < 60 and levels.max() > 120
        assert len(np.unique(levels)) > 3
        assert np.unique(np.asarray(mask)).tolist() == [pets.BACKGROUND]
