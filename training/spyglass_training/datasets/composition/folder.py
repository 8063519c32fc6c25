"""A folder of composed images in the layout of Oxford-IIIT Pet: cut-outs on backgrounds, with trimaps.

Each object and each background goes to one part before anything is composed, so that no test image shows an
object or a background of the training part.
"""

from __future__ import annotations

import logging
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
from spyglass_contract.images.folders import is_hidden
from spyglass_contract.images.header import Limits, open_header
from spyglass_training.datasets.about import About, write_about
from spyglass_training.datasets.composition.scene import SceneOptions, compose
from spyglass_training.datasets.example import images_in
from spyglass_training.datasets.new_folder import check_new
from spyglass_training.datasets.omissions import Omissions, images_below, left_out_lines
from spyglass_training.datasets.parts import TEST, TRAIN, VALIDATION

log = logging.getLogger(__name__)

_FRACTIONS = {TRAIN: 0.7, VALIDATION: 0.1, TEST: 0.2}
_JPEG_QUALITY = 92

# The suffix of the name of a further image of the same object.
_VARIANT = re.compile(r"[-_]?\d+$")


@dataclass(frozen=True)
class CompositionOptions:
    """The options of a composition."""

    # Number of images in all parts together.
    images: int = 4000
    # Seed of the distribution to parts, and of every scene.
    seed: int = 0
    # Name and licence of the data, for the card of a model that is trained on it.
    name: str = "composed images"
    licence: str = "that of the cut-outs and backgrounds"
    scene: SceneOptions = field(default_factory=SceneOptions)


@dataclass(frozen=True)
class Material:
    """The cut-outs and backgrounds of one part."""

    cutouts: Sequence[Path]
    backgrounds: Sequence[Path]


def compose_folder(
    cutouts: Path, backgrounds: Path, target: Path, options: CompositionOptions
) -> dict[str, int]:
    """Fill `target`; return how many images each part has.

    `cutouts` has images with transparency, or folders of them; `backgrounds` has any images. The same options
    make the same images. Raises NotFound if a folder does not exist; InvalidInput if there are too few of
    either or if `target` is not empty or lies in one of the two; and ImageError, with the name, if an image
    cannot be read or a cut-out has no transparency. All checks come before anything is written.
    """
    check_new(target, cutouts, backgrounds)
    material = _deal(cutouts, backgrounds, options.seed)
    _check(material)
    (target / "images").mkdir(parents=True)
    (target / "annotations" / "trimaps").mkdir(parents=True)
    counts = {part: round(options.images * fraction) for part, fraction in _FRACTIONS.items()}
    for number, (part, count) in enumerate(counts.items()):
        _write_part(target, part, material[part], count, options, number)
    write_about(target, About(options.name, options.licence), **_facts(options, material))
    return counts


def _deal(cutouts: Path, backgrounds: Path, seed: int) -> dict[str, Material]:
    random = np.random.default_rng(seed)
    folders = sorted(
        path for path in _folder(cutouts).iterdir() if path.is_dir() and not is_hidden(path.name)
    )
    # Group by group, so that every part has objects of every group.
    omissions = Omissions(cutouts), Omissions(backgrounds)
    groups = [images_in(cutouts), *(images_below(folder, omissions[0]) for folder in folders)]
    objects = [deal(group, random) for group in groups]
    scenery = deal(images_below(_folder(backgrounds), omissions[1]), random)
    for line in left_out_lines(entry for each in omissions for entry in each.entries()):
        log.warning("%s", line)
    material = {
        part: Material([path for dealt in objects for path in dealt[part]], scenery[part])
        for part in _FRACTIONS
    }
    for part, members in material.items():
        if not members.cutouts or not members.backgrounds:
            raise InvalidInput(
                f"too few cut-outs or backgrounds: none left for the part {part!r}", field="cutouts"
            )
    return material


def _check(material: Mapping[str, Material]) -> None:
    """Read every image once. Raises ImageError with the name of the first invalid one."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "check") as pool:
        for members in material.values():
            for _ in pool.map(read_cutout, members.cutouts):
                pass
            for _ in pool.map(_read_background, members.backgrounds):
                pass


def deal(paths: Sequence[Path], random: np.random.Generator) -> dict[str, list[Path]]:
    """Distribute images over the parts by their fractions; `lion.png` and `lion-2.png` stay together."""
    names = {path.stem for path in paths}
    families: dict[str, list[Path]] = {}
    for path in paths:
        first = _VARIANT.sub("", path.stem)
        families.setdefault(first if first in names else path.stem, []).append(path)
    dealt: dict[str, list[Path]] = {part: [] for part in _FRACTIONS}
    groups = list(families.values())
    for position, index in enumerate(random.permutation(len(families)).tolist()):
        dealt[_part((position + 0.5) / len(families))].extend(groups[index])
    return dealt


def _part(position: float) -> str:
    """Return the part at a position from 0 to 1."""
    end = 0.0
    for part, fraction in _FRACTIONS.items():
        end += fraction
        if position < end:
            return part
    return TEST


def _write_part(
    target: Path, part: str, material: Material, count: int, options: CompositionOptions, number: int
) -> None:
    names = [f"{part}_{index:05}" for index in range(count)]
    # One generator for each scene, so that a scene depends neither on the others nor on the threads.
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
    """Return an image with transparency, RGBA. Raises ImageError with members name if it is none."""
    try:
        image = open_header(path.read_bytes(), Limits())
        image.load()
    except (ImageError, OSError) as error:
        raise ImageError(f"{path}: {error}", field="cutouts") from error
    rgba = image.convert("RGBA")
    lowest, highest = rgba.getchannel("A").getextrema()
    if lowest == 255 or highest == 0:
        raise ImageError(f"{path}: not a cut-out: it is fully opaque or fully transparent", field="cutouts")
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
    """Return the files that each part uses, so that one can look up whether an object was trained on."""
    return {
        "images": options.images,
        "seed": options.seed,
        "scene": asdict(options.scene),
        "parts": {
            part: {
                "cutouts": sorted(path.name for path in members.cutouts),
                "backgrounds": sorted(path.name for path in members.backgrounds),
            }
            for part, members in material.items()
        },
    }
