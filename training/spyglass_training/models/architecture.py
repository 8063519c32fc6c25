"""What is known of a network before it is built."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, COLOR_MODE_RGB, TASK_CLASSIFY, InputSpec, Task
from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.run_folder import Option
from spyglass_training.models.augmentation import MIRROR, NONE

COLOR_MODES = {"grey": COLOR_MODE_GREY, "rgb": COLOR_MODE_RGB}

# From an input and a number of classes, and what else the architecture lets one choose, by keyword.
Builder = Callable[..., keras.Model]


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for any input and number of classes."""

    name: str
    builder: Builder
    input: InputSpec
    # One sentence for people.
    summary: str
    # Whether it answers for the image or for each of its pixels.
    task: Task.ValueType = TASK_CLASSIFY
    # Up to this layer nothing learns, nor is random but for augmentation: where that allows it, its output is
    # computed once for each image.
    cached_layer: str = ""
    # What learns only when the rest has: a second phase, at a low learning rate.
    fine_tuned_layers: tuple[str, ...] = ()
    # What a run takes where nothing else is asked for, and `build` does not: weights that must be got first.
    run_choices: Mapping[str, Option] = dataclasses.field(default_factory=dict)

    @property
    def is_cached(self) -> bool:
        """Whether the output of `cached_layer` is computed once for each image, or way to mirror it."""
        return bool(self.cached_layer) and self.choices.get("augment", NONE) in (NONE, MIRROR)

    @property
    def is_mirrored(self) -> bool:
        """Whether training mirrors images, both ways, and changes nothing else."""
        return self.choices.get("augment") == MIRROR

    @property
    def choices(self) -> dict[str, Option]:
        """What the builder lets one choose, with its defaults."""
        parameters = inspect.signature(self.builder).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    def with_choices(self, **choices: Option) -> Architecture:
        """The same with other defaults. Raises InvalidInput where there is no such choice."""
        unknown = [name for name in choices if name not in self.choices]
        if unknown:
            known = ", ".join(self.choices) or "nothing"
            raise InvalidInput(
                f"{self.name} has no choice of {', '.join(unknown)}; it has one of {known}", field=unknown[0]
            )
        return dataclasses.replace(self, builder=functools.partial(self.builder, **choices))

    def for_run(self, **given: Option) -> Architecture:
        """The same with what a run takes, and what was asked for.

        Raises InvalidInput where there is no such choice, or where noise, which learns nothing when it is
        frozen, would be frozen without having been asked for by name: weights `none`.
        """
        architecture = self.with_choices(**{**self.run_choices, **given})
        chosen = architecture.choices
        if chosen.get("freeze") and chosen["weights"] == "none" and "weights" not in given:
            raise InvalidInput(
                f"{self.name} would freeze weights that nobody has trained: say which with --weights",
                field="weights",
            )
        return architecture

    def with_input(self, size: tuple[int, int] | None = None, color: str | None = None) -> Architecture:
        """The same for an input of another (height, width) or colour, `grey` or `rgb`."""
        spec = InputSpec()
        spec.CopyFrom(self.input)
        if size is not None:
            spec.height, spec.width = size
        if color is not None:
            spec.color_mode = COLOR_MODES[color]
        return dataclasses.replace(self, input=spec)

    def build(self, spec: InputSpec, class_count: int, **choices: Option) -> keras.Model:
        """The network with first weights, from uint8 pixels as `spec` states them to probabilities.

        Raises InvalidInput where there is no such choice, or the input is too small, and what the builder
        raises for choices of its own.
        """
        try:
            return self.with_choices(**choices).builder(spec, class_count)
        except ValueError as error:
            # What Keras says is about tensors, in many lines.
            raise InvalidInput(
                f"{self.name} cannot be built for {spec.width}×{spec.height} pixels: they are too few "
                "for its layers",
                field="input",
            ) from error
