"""The flags of a network in int8, and the images that they name."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spyglass_cli.flags.types import fraction_below_one, fraction_up_to_one, positive_integer
from spyglass_contract.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spyglass.v1.model_pb2 import ModelCard
    from spyglass_export.quantising.quantise import CalibrationData

_CALIBRATION_IMAGES, _HELD_OUT_IMAGES = 200, 500
_LEAST_HELD_OUT = 10
# Below this number one image is more than the usual tolerance.
_ADVISABLE = 100


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add `--precision` to a command that writes a model file, and the flags of `add_quantising`."""
    group = parser.add_argument_group("precision", "A second file in int8, for faster classes and masks.")
    group.add_argument(
        "--precision",
        choices=("fp32", "int8"),
        default="fp32",
        help="int8 also writes model.int8.onnx beside model.onnx; needs --calibration (default: %(default)s)",
    )
    add_quantising(group, required=False)


def add_quantising(parser: argparse._ActionsContainer, *, required: bool) -> None:
    """Add the flags for the images of a network in int8 and for what it may lose."""
    parser.add_argument(
        "--calibration",
        required=required,
        metavar="DATA",
        help="data set that int8 is calibrated on, as for `spyglass train --data`, or a folder of images",
    )
    parser.add_argument(
        "--dataset",
        metavar="KIND",
        help="kind of the data set of --calibration (default: found by its files)",
    )
    parser.add_argument(
        "--calibration-images",
        type=positive_integer,
        default=_CALIBRATION_IMAGES,
        metavar="N",
        help="number of images that the scales are computed from (default: %(default)s)",
    )
    parser.add_argument(
        "--held-out-images",
        type=positive_integer,
        default=_HELD_OUT_IMAGES,
        metavar="N",
        help="number of other images that int8 is compared with fp32 on (default: %(default)s)",
    )
    parser.add_argument(
        "--weight-bits",
        type=int,
        choices=(7, 8),
        default=8,
        help="bits of a weight; x86-64 processors without VNNI need 7 (default: %(default)s)",
    )
    parser.add_argument(
        "--least-agreement",
        type=fraction_up_to_one,
        metavar="FRACTION",
        help="fraction of the held-out images, or pixels, that must keep their class; the card states it "
        "(default: 0.99)",
    )
    parser.add_argument(
        "--most-metric-loss",
        type=fraction_below_one,
        metavar="FRACTION",
        help="loss of accuracy or mean IoU that is allowed; the card states it (default: 0.005)",
    )
    parser.add_argument(
        "--no-held-out",
        action="store_true",
        help="do not write held_out.npz, which holds images of the data set for the server to compare on",
    )


def check_precision(arguments: argparse.Namespace) -> None:
    """Raise InvalidInput if `--precision int8` has no images, or flags of int8 are given without it."""
    if arguments.precision == "int8" and arguments.calibration is None:
        raise InvalidInput("--precision int8 needs images: pass --calibration DATA", field="calibration")
    if arguments.precision != "int8" and arguments.calibration is not None:
        raise InvalidInput("--calibration is for --precision int8", field="precision")


def quantise_file(file: Path, arguments: argparse.Namespace) -> ModelCard:
    """Write `model.int8.onnx` beside `file`, and return its card. Raises SpyglassError."""
    from spyglass_contract.model.precisions import USUAL, Tolerance
    from spyglass_export.quantising.quantise import quantise, read_model_card

    agreement, loss = arguments.least_agreement, arguments.most_metric_loss
    return quantise(
        file,
        read_calibration(read_model_card(file), arguments),
        tolerance=Tolerance(
            USUAL.agreement if agreement is None else agreement, USUAL.metric_loss if loss is None else loss
        ),
        seven_bits=arguments.weight_bits == 7,
        keep_images=not arguments.no_held_out,
        notify=partial(print, file=sys.stderr),
    )


def read_calibration(card: ModelCard, arguments: argparse.Namespace) -> CalibrationData:
    """Read the images of `--calibration` as the model of `card` takes them.

    A data set gives training images to calibrate on, and test images with labels to compare on. A folder with
    images of its own gives both without labels. Raises InvalidInput, NotFound and ImageError.
    """
    from spyglass_contract.model.held_out import HeldOut
    from spyglass_export.quantising.quantise import CalibrationData

    folder = Path(arguments.calibration)
    if arguments.dataset is None and folder.is_dir() and any(_images_in(folder)):
        calibration, held_out = _from_folder(folder, card, arguments)
        return CalibrationData(calibration, HeldOut(held_out))
    return _from_dataset(card, arguments)


def _from_folder(
    folder: Path, card: ModelCard, arguments: argparse.Namespace
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    import numpy as np

    from spyglass_contract.errors import ImageError
    from spyglass_contract.images.pixels import prepare

    found = _images_in(folder)
    files = [found[index] for index in np.random.default_rng(0).permutation(len(found))]
    wanted = arguments.calibration_images + arguments.held_out_images
    # Of fewer images, the same share is held out.
    used = files[:wanted]
    cut = round(len(used) * arguments.calibration_images / wanted)
    _check_count(len(used) - cut)
    pixels = []
    for file in used:
        try:
            pixels.append(prepare(file.read_bytes(), card.input).pixels)
        except ImageError as error:
            raise ImageError(f"{file}: {error.message}", reason=error.reason) from error
    stacked = np.stack(pixels)
    return stacked[:cut], stacked[cut:]


def _from_dataset(card: ModelCard, arguments: argparse.Namespace) -> CalibrationData:
    from spyglass_contract.model.held_out import HeldOut
    from spyglass_export.quantising.quantise import CalibrationData
    from spyglass_training.datasets.registry import open_dataset

    dataset = open_dataset(arguments.dataset, arguments.calibration, card.input, task=card.task)
    calibration = _sample(dataset.train.pixels, arguments.calibration_images)
    test = _sample(dataset.test.pixels, arguments.held_out_images)
    _check_count(len(test))
    if tuple(dataset.class_names) == tuple(card.class_names):
        return CalibrationData(calibration, HeldOut(test, _sample(dataset.test.labels, len(test))))
    print(
        "the data set has other classes than the model, or in another order: only the agreement with fp32 is "
        "measured",
        file=sys.stderr,
    )
    return CalibrationData(calibration, HeldOut(test))


def _images_in(folder: Path) -> list[Path]:
    from spyglass_contract.images.folders import not_an_image

    return [path for path in sorted(folder.iterdir()) if path.is_file() and not not_an_image(path.name)]


def _sample(rows: NDArray[Any], count: int) -> NDArray[Any]:
    """Return up to `count` rows; the same ones of every array of a length."""
    import numpy as np

    chosen = np.random.default_rng(0).permutation(len(rows))[:count]
    return np.asarray(rows[chosen])


def _check_count(held_out: int) -> None:
    if held_out < _LEAST_HELD_OUT:
        raise NotFound(
            f"--calibration gives {held_out} held-out images, and int8 must be compared on at least "
            f"{_LEAST_HELD_OUT}: pass more images",
            reason="DATA_NOT_FOUND",
            field="calibration",
        )
    if held_out < _ADVISABLE:
        print(
            f"only {held_out} held-out images: what int8 keeps is known to {1 / held_out:.1%}",
            file=sys.stderr,
        )
