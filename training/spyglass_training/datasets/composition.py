"""A folder of composed images in the layout of Oxford-IIIT Pet: cut-outs on backgrounds, with trimaps.

Objects and backgrounds are dealt out to the parts before anything is composed: none that is tested on has
been trained on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from spyglass_contract.errors import ImageError, InvalidInput, NotFound
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits, open_header
from spyglass_training.datasets.about import About, write_about
from spyglass_training.datasets.assembly import TEST, TRAIN, VALIDATION
from spyglass_training.datasets.example import images_in
from spyglass_training.datasets.new_folder import check_new
from spyglass_training.datasets.scene import SceneOptions, compose

_SHARES = {TRAIN: 0.7, VALIDATION: 0.1, TEST: 0.2}
_JPEG_QUALITY = 92

# What the name of a second image of an object has beyond that of the first.
_VARIANT = re.compile(r"[-_]?\d+$")


@dataclass(frozen=True)
class CompositionOptions:
    """What is composed."""

    # In all parts together.
    images: int = 4000
    # Of the deal of objects and backgrounds, and of every scene.
    seed: int = 0
    # Of the data, for the card of a model that is trained on it.
    name: str = "composed images"
    licence: str = "that of the cut-outs and backgrounds"
    scene: SceneOptions = field(default_factory=SceneOptions)


@dataclass(frozen=True)
class Material:
    """What the scenes of one part are made of."""

    cutouts: Sequence[Path]
    backgrounds: Sequence[Path]


def compose_folder(
    cutouts: Path, backgrounds: Path, target: Path, options: CompositionOptions
) -> dict[str, int]:
    """Fills `target`; returns how many images each part has.

    `cutouts` has images with transparency, or folders of them; `backgrounds` has any images. The same
    options make the same images. Raises NotFound and InvalidInput where there are too few of either or
    `target` is not empty or lies in one of the two, and ImageError, with its name, where one cannot be read
    or has no transparency: before anything is written.
    """
    check_new(target, cutouts, backgrounds)
    material = _deal(cutouts, backgrounds, options.seed)
    _check(material)
    (target / "images").mkdir(parents=True)
    (target / "annotations" / "trimaps").mkdir(parents=True)
    counts = {part: round(options.images * share) for part, share in _SHARES.items()}
    for number, (part, count) in enumerate(counts.items()):
        _write_part(target, part, material[part], count, options, number)
    write_about(target, About(options.name, options.licence), **_facts(options, material))
    return counts


def _deal(cutouts: Path, backgrounds: Path, seed: int) -> dict[str, Material]:
    random = np.random.default_rng(seed)
    groups = [cutouts, *sorted(path for path in _folder(cutouts).iterdir() if path.is_dir())]
    # Group by group, so that every part has animals as well as tools.
    objects = [deal(images_in(group), random) for group in groups]
    scenery = deal(images_in(_folder(backgrounds)), random)
    material = {
        part: Material([path for dealt in objects for path in dealt[part]], scenery[part]) for part in _SHARES
    }
    for part, its in material.items():
        if not its.cutouts or not its.backgrounds:
            raise InvalidInput(f"too few cut-outs or backgrounds: none is left for {part}", field="cutouts")
    return material


def _check(material: Mapping[str, Material]) -> None:
    """Reads every image once. Raises ImageError, with the name of the first that will not do."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "check") as pool:
        for its in material.values():
            for _ in pool.map(read_cutout, its.cutouts):
                pass
            for _ in pool.map(_read_background, its.backgrounds):
                pass


def deal(paths: Sequence[Path], random: np.random.Generator) -> dict[str, list[Path]]:
    """Deals images out to the parts by their shares; `lion.png` and `lion-2.png` go together."""
    names = {path.stem for path in paths}
    families: dict[str, list[Path]] = {}
    for path in paths:
        first = _VARIANT.sub("", path.stem)
        families.setdefault(first if first in names else path.stem, []).append(path)
    dealt: dict[str, list[Path]] = {part: [] for part in _SHARES}
    groups = list(families.values())
    for position, index in enumerate(random.permutation(len(families)).tolist()):
        dealt[_part((position + 0.5) / len(families))].extend(groups[index])
    return dealt


def _part(position: float) -> str:
    """The part that has a position from 0 to 1."""
    end = 0.0
    for part, share in _SHARES.items():
        end += share
        if position < end:
            return part
    return TEST


def _write_part(
    target: Path, part: str, material: Material, count: int, options: CompositionOptions, number: int
) -> None:
    names = [f"{part}_{index:05}" for index in range(count)]
    # A generator each: what a scene looks like does not depend on the others, nor on which thread makes it.
    seeds = [(options.seed, number, index) for index in range(count)]

    def write(name: str, seed: tuple[int, int, int]) -> None:
        image, trimap = _scene(material, options.scene, np.random.default_rng(seed))
        image.save(target / "images" / f"{name}.jpg", quality=_JPEG_QUALITY)
        trimap.save(target / "annotations" / "trimaps" / f"{name}.png")

    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "compose") as pool:
        for _ in pool.map(write, names, seeds):
            pass
    (target / "annotations" / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))


def _scene(
    material: Material, options: SceneOptions, random: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    scenery = random.integers(len(material.backgrounds), size=random.integers(1, 2, endpoint=True)).tolist()
    backgrounds = [_read_background(material.backgrounds[index]) for index in scenery]
    count = int(random.integers(1, options.max_objects, endpoint=True))
    indices = random.integers(len(material.cutouts), size=count).tolist()
    chosen = [material.cutouts[index] for index in indices]
    return compose(backgrounds, [read_cutout(path) for path in chosen], options, random)


def read_cutout(path: Path) -> Image.Image:
    """An image with transparency, RGBA. Raises ImageError, with its name, where it is none."""
    try:
        image = open_header(path.read_bytes(), Limits())
        image.load()
    except (ImageError, OSError) as error:
        raise ImageError(f"{path}: {error}", field="cutouts") from error
    rgba = image.convert("RGBA")
    lowest, highest = rgba.getchannel("A").getextrema()
    if lowest == 255 or highest == 0:
        raise ImageError(
            f"{path}: it is not a cut-out: nothing, or all of it, is transparent", field="cutouts"
        )
    return rgba


def _read_background(path: Path) -> Image.Image:
    try:
        return decode(path.read_bytes(), Limits())[0]
    except ImageError as error:
        raise ImageError(f"{path}: {error}", field="backgrounds") from error


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise NotFound(f"there is no folder {path}", reason="DATA_NOT_FOUND")
    return path


def _facts(options: CompositionOptions, material: Mapping[str, Material]) -> dict[str, object]:
    """What the images were made of, for whoever wants to know whether an object was trained on."""
    return {
        "images": options.images,
        "seed": options.seed,
        "scene": asdict(options.scene),
        "parts": {
            part: {
                "cutouts": sorted(path.name for path in its.cutouts),
                "backgrounds": sorted(path.name for path in its.backgrounds),
            }
            for part, its in material.items()
        },
    }
