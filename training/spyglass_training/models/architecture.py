"""The description of a network before it is built."""

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
from spyglass_training.models.parts.augmentation import MIRROR, NONE

COLOR_MODES = {"grey": COLOR_MODE_GREY, "rgb": COLOR_MODE_RGB}

# Takes an input and a number of classes, and further choices of the architecture by keyword.
Builder = Callable[..., keras.Model]


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for any input and number of classes."""

    name: str
    builder: Builder
    input: InputSpec
    # One sentence that describes the network.
    summary: str
    # Classification of images, or segmentation, which gives probabilities for each pixel.
    task: Task.ValueType = TASK_CLASSIFY
    # No layer up to this one learns, and none but augmentation is random. If the augmentation allows it, a
    # run computes this layer's output once for each image.
    cached_layer: str = ""
    # Layers that learn only in a second phase, at a low learning rate.
    fine_tuned_layers: tuple[str, ...] = ()
    # Choices that a run uses by default but `build` does not: weights that must be installed first.
    run_choices: Mapping[str, Option] = dataclasses.field(default_factory=dict)

    @property
    def is_cached(self) -> bool:
        """True if a run computes the output of `cached_layer` only once for each image."""
        return bool(self.cached_layer) and self.choices.get("augment", NONE) in (NONE, MIRROR)

    @property
    def is_mirrored(self) -> bool:
        """True if training mirrors images both ways, and changes nothing else."""
        return self.choices.get("augment") == MIRROR

    @property
    def choices(self) -> dict[str, Option]:
        """The keyword parameters of the builder, with their defaults."""
        parameters = inspect.signature(self.builder).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    def with_choices(self, **choices: Option) -> Architecture:
        """Return the same with other defaults. Raises InvalidInput if there is no such choice."""
        unknown = [name for name in choices if name not in self.choices]
        if unknown:
            known = ", ".join(self.choices) or "nothing"
            raise InvalidInput(
                f"{self.name} has no option {', '.join(unknown)}; its options are: {known}", field=unknown[0]
            )
        return dataclasses.replace(self, builder=functools.partial(self.builder, **choices))

    def for_run(self, **given: Option) -> Architecture:
        """Return the same with the defaults of a run and the choices `given`.

        Raises InvalidInput if there is no such choice, or if the run would freeze random weights without
        weights `none` in `given`: frozen random weights learn nothing.
        """
        architecture = self.with_choices(**{**self.run_choices, **given})
        chosen = architecture.choices
        if chosen.get("freeze") and chosen["weights"] == "none" and "weights" not in given:
            raise InvalidInput(
                f"{self.name} would freeze random weights: choose trained ones with --weights",
                field="weights",
            )
        return architecture

    def with_input(self, size: tuple[int, int] | None = None, color: str | None = None) -> Architecture:
        """Return the same for an input of another (height, width) or colour, `grey` or `rgb`."""
        spec = InputSpec()
        spec.CopyFrom(self.input)
        if size is not None:
            spec.height, spec.width = size
        if color is not None:
            spec.color_mode = COLOR_MODES[color]
        return dataclasses.replace(self, input=spec)

    def build(self, spec: InputSpec, class_count: int, **choices: Option) -> keras.Model:
        """Build the network with its first weights, from uint8 pixels as `spec` states them to probabilities.

        Raises InvalidInput if there is no such choice or the input is too small, and the errors of the
        builder.
        """
        try:
            return self.with_choices(**choices).builder(spec, class_count)
        except ValueError as error:
            # Keras's own message is about tensors and has many lines.
            raise InvalidInput(
                f"{self.name} cannot be built for {spec.width}×{spec.height} pixels: the input is too small "
                "for its layers",
                field="input",
            ) from error
