"""The flags of `spyglass train`, in groups.

The parser must suppress defaults: `TrainingOptions` and the network's builder have them.
"""

from __future__ import annotations

import argparse

from spyglass_cli.flags.arguments import add_run_output, add_seed
from spyglass_cli.flags.reading import add_reading_flags
from spyglass_cli.flags.types import (
    fraction_below_one,
    fraction_inside_zero_and_one,
    image_size,
    non_negative_integer,
    non_negative_number,
    positive_integer,
    positive_number,
)
from spyglass_training.run.options import (
    CLASS_WEIGHTS,
    KEPT,
    MONITORS,
    PRECISIONS,
    SCHEDULES,
    TrainingOptions,
)

_DEFAULTS = TrainingOptions()
# The default of an option that each network sets for itself.
_OF_NETWORK = "(default: set by the network)"


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the data set and of the network's input."""
    group = parser.add_argument_group("data")
    add_reading_flags(group)
    group.add_argument(
        "--size",
        type=image_size,
        metavar="N|HxW",
        help=f"height and width of the network's input, in pixels {_OF_NETWORK}",
    )
    group.add_argument(
        "--color", choices=("grey", "rgb"), help=f"color mode of the network's input {_OF_NETWORK}"
    )
    group.add_argument(
        "--validation-share",
        type=fraction_inside_zero_and_one,
        metavar="X",
        help="fraction of the training images to validate on, if the data set has no validation part "
        f"(default: {_DEFAULTS.validation_share:g})",
    )


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """Add the options of network builders; each network has some of them."""
    group = parser.add_argument_group("network", "Each network has some of these options.")
    group.add_argument(
        "--augment",
        metavar="none|photograph|part|mirror",
        help="random changes of training images; photograph: mirror left to right, rotate and zoom; part: "
        "mirror both ways, change contrast and brightness; mirror: mirror both ways; none: no change "
        f"{_OF_NETWORK}",
    )
    group.add_argument(
        "--dropout",
        type=fraction_below_one,
        metavar="X",
        help=f"fraction of the features that dropout sets to 0 {_OF_NETWORK}",
    )
    group.add_argument(
        "--weights",
        metavar="none|imagenet|FILE",
        help=f"initial weights; none: random, imagenet: published ones, FILE: those of a file {_OF_NETWORK}",
    )
    group.add_argument(
        "--freeze", action="store_true", help="do not train the weights of --weights (default: train them)"
    )
    group.add_argument(
        "--batch-norm-momentum",
        type=fraction_below_one,
        metavar="X",
        help="momentum of the moving averages of batch normalization; use 0.9 for a short training "
        f"{_OF_NETWORK}",
    )


def add_fitting_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the optimizer, the learning rate and the loss."""
    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs",
        type=positive_integer,
        metavar="N",
        help=f"passes over the training images (default: {_DEFAULTS.epochs})",
    )
    group.add_argument(
        "--batch-size",
        type=positive_integer,
        metavar="N",
        help=f"images in one training step (default: {_DEFAULTS.batch_size})",
    )
    group.add_argument(
        "--optimizer",
        choices=("adam", "adamw", "rmsprop", "sgd"),
        help=f"optimizer of the weights (default: {_DEFAULTS.optimizer})",
    )
    group.add_argument(
        "--learning-rate",
        type=positive_number,
        metavar="X",
        help=f"initial learning rate (default: {_DEFAULTS.learning_rate:g})",
    )
    group.add_argument(
        "--schedule",
        choices=SCHEDULES,
        help=f"schedule of the learning rate (default: {_DEFAULTS.schedule})",
    )
    group.add_argument(
        "--warmup-epochs",
        type=non_negative_number,
        metavar="X",
        help="warm-up epochs, in which the learning rate rises from 0; may be a fraction "
        f"(default: {_DEFAULTS.warmup_epochs:g})",
    )
    group.add_argument(
        "--class-weights",
        choices=CLASS_WEIGHTS,
        help="weights of the classes in the loss; balanced: the rarer the class, the larger its weight "
        f"(default: {_DEFAULTS.class_weights})",
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="number format of the layers' arithmetic; weights and the exported model are float32 "
        f"(default: {_DEFAULTS.precision})",
    )
    add_seed(group, "the same weights on a CPU", _DEFAULTS.seed)
    _add_fine_tuning_flags(parser)


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the run folder and of early stopping."""
    group = parser.add_argument_group("run")
    add_run_output(group)
    group.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="continue a run that was interrupted (default: start a new run)",
    )
    group.add_argument(
        "--keep",
        choices=KEPT,
        help=f"epoch whose network the run keeps: the best by --monitor, or the last "
        f"(default: {_DEFAULTS.keep})",
    )
    group.add_argument(
        "--monitor",
        choices=MONITORS,
        help=f"metric that decides which epoch is the best (default: {_DEFAULTS.monitor})",
    )
    group.add_argument(
        "--patience",
        type=non_negative_integer,
        metavar="N",
        help="stop training after N epochs without a better one; 0: never stop early "
        f"(default: {_DEFAULTS.patience})",
    )
    group.add_argument(
        "--tensorboard",
        action="store_true",
        help="write logs for TensorBoard to RUN/tensorboard (default: write none)",
    )


def _add_fine_tuning_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "fine-tuning", "The second phase of training, for networks that have layers to fine-tune."
    )
    group.add_argument(
        "--fine-tune-epochs",
        type=non_negative_integer,
        metavar="N",
        help=f"epochs of fine-tuning; 0: no fine-tuning (default: {_DEFAULTS.fine_tune_epochs})",
    )
    group.add_argument(
        "--fine-tune-learning-rate",
        type=positive_number,
        metavar="X",
        help=f"initial learning rate of fine-tuning (default: {_DEFAULTS.fine_tune_learning_rate:g})",
    )
    group.add_argument(
        "--fine-tune-schedule",
        choices=SCHEDULES,
        help=f"schedule of the learning rate in fine-tuning (default: {_DEFAULTS.fine_tune_schedule})",
    )
