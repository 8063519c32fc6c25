"""The flags of `spyglass train`, by what they are about. What is not given is left to its default."""

from __future__ import annotations

import argparse

from spyglass_cli.flags.reading import add_reading_flags
from spyglass_cli.flags.types import (
    count,
    count_or_none,
    folder_to_fill,
    part,
    positive,
    positive_or_none,
    seed,
    share,
    size,
)
from spyglass_training.run.options import CLASS_WEIGHTS, KEPT, MONITORS, PRECISIONS, SCHEDULES


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """Where the images come from, and how they enter the network."""
    group = parser.add_argument_group("data")
    add_reading_flags(group)
    group.add_argument("--size", type=size, metavar="N|HxW", help="of the network's input, in pixels")
    group.add_argument("--color", choices=("grey", "rgb"), help="of the network's input")
    group.add_argument("--validation-share", type=part, metavar="X", help="held out, where no part is given")


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """What the architecture lets one choose; each has some of these."""
    group = parser.add_argument_group("network, where it has the choice")
    group.add_argument(
        "--augment",
        metavar="none|photograph|part|mirror",
        help="photograph: mirror, turn and zoom in training; part: mirror both ways and change the light; "
        "mirror: mirror both ways",
    )
    group.add_argument("--dropout", type=share, metavar="X", help="share of the features left out")
    group.add_argument("--weights", metavar="none|imagenet|FILE", help="to start from")
    group.add_argument("--freeze", action="store_true", help="leave those weights as they are")
    group.add_argument(
        "--batch-norm-momentum", type=share, metavar="X", help="of moving averages; 0.9 for few steps"
    )


def add_fitting_flags(parser: argparse.ArgumentParser) -> None:
    """How it learns."""
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=count, metavar="N", help="how often to see every image")
    group.add_argument("--batch-size", type=count, metavar="N", help="images in a step")
    group.add_argument("--optimizer", choices=("adam", "adamw", "rmsprop", "sgd"))
    group.add_argument("--learning-rate", type=positive, metavar="X", help="at the start")
    group.add_argument("--schedule", choices=SCHEDULES, help="how the learning rate falls")
    group.add_argument(
        "--warmup-epochs", type=positive_or_none, metavar="X", help="in which it rises from zero"
    )
    group.add_argument(
        "--fine-tune-epochs", type=count_or_none, metavar="N", help="of the second phase; 0: none"
    )
    group.add_argument("--fine-tune-learning-rate", type=positive, metavar="X", help="in the second phase")
    group.add_argument("--fine-tune-schedule", choices=SCHEDULES, help="how it falls there")
    group.add_argument("--class-weights", choices=CLASS_WEIGHTS, help="balanced: rare classes count more")
    group.add_argument("--precision", choices=PRECISIONS, help="of the arithmetic; the export is float32")
    group.add_argument("--seed", type=seed, metavar="N", help="the same seed gives the same weights on a CPU")


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """What is kept, and when training stops."""
    group = parser.add_argument_group("run")
    group.add_argument("--out", type=folder_to_fill, required=True, metavar="RUN", help="the folder to make")
    group.add_argument(
        "--resume", action="store_true", default=False, help="go on with a run that was killed"
    )
    group.add_argument("--keep", choices=KEPT, help="which epoch's network")
    group.add_argument("--monitor", choices=MONITORS, help="what epochs are compared by")
    group.add_argument(
        "--patience",
        type=count_or_none,
        metavar="N",
        help="stop after N epochs without a better one; 0: never",
    )
    group.add_argument("--tensorboard", action="store_true", help="write RUN/tensorboard")
