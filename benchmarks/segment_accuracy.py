"""Measure the accuracy of a served segmentation model: intersection over union through the whole service.

The benchmark sends every test image of a folder to a server process, as JPEG bytes, and reads PNG masks of
the images' own sizes. The folder has the layout of Oxford-IIIT Pet. A second column has the figures of the
training run, from the card.

    python benchmarks/segment_accuracy.py DATA [--models DIR] [--model foreground] [--images N]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving_process import serving
from spyglass_client import Client, Segmentation
from spyglass_server.engine.models.bundled import bundled_models

# Prefix of the keys in `Provenance.metrics`.
MEASURED = "test_iou_"


def main() -> None:
    """Print a line for each class, and the means."""
    options = _parse()
    names = (options.data / "annotations/test.txt").read_text().split()[: options.images or None]
    with serving("--models", str(options.models)) as (address, _), Client(address) as client:
        card = client.model(options.model).card
        found = overlaps(client, options.model, options.data, names, len(card.class_names))
    trained = [card.provenance.metrics[f"{MEASURED}{name}"] for name in card.class_names]
    print(f"{options.model}, {len(names):,} images: intersection over union")
    print(f"{'':26}{'served':>9}{'trained':>9}")
    for name, served, measured in zip(card.class_names, found, trained, strict=True):
        print(f"{name:26}{served:9.4f}{measured:9.4f}")
    print(f"{'mean':26}{np.mean(found):9.4f}{np.mean(trained):9.4f}")
    print(f"{'mean of the first two':26}{np.mean(found[:2]):9.4f}{np.mean(trained[:2]):9.4f}")


def overlaps(client: Client, model: str, data: Path, names: list[str], classes: int) -> NDArray[np.float64]:
    """Return float64 [classes]: the intersection over union, over the pixels of all images together."""
    counts = np.zeros((classes, classes), np.int64)
    images = [data / f"images/{name}.jpg" for name in names]
    for name, mask in zip(names, masks(client, model, images), strict=True):
        truth = trimap(data / f"annotations/trimaps/{name}.png")
        pairs = truth.astype(np.int64) * classes + mask
        counts += np.bincount(pairs.ravel(), minlength=counts.size).reshape(counts.shape)
    union = counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts)
    return np.asarray(np.diag(counts) / union)


def masks(client: Client, model: str, images: list[Path]) -> Iterator[NDArray[np.uint8]]:
    """Yield the mask of each image, uint8 [height, width] in the image's size."""
    for result in client.segment_many(images, model=model):
        if not isinstance(result, Segmentation):
            raise result.error
        yield result.array


def trimap(path: Path) -> NDArray[np.uint8]:
    """Return uint8 [height, width]: class indices from 0. In the file they start at 1."""
    with Image.open(path) as image:
        return np.asarray(image) - np.uint8(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder in the layout of Oxford-IIIT Pet")
    parser.add_argument(
        "--models", type=Path, default=bundled_models(), help="folder of models (default: the bundled models)"
    )
    parser.add_argument("--model", default="foreground", help="name of the model (default: foreground)")
    parser.add_argument("--images", type=int, default=0, help="number of test images; 0 for all (default: 0)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
