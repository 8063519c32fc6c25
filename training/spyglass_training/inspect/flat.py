"""A network as a row of steps: networks inside of it taken apart, every feature map within reach."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import keras

from spyglass_contract.errors import FailedPrecondition, NotFound


@dataclass(frozen=True)
class Step:
    """A layer where it is applied."""

    # Within a network inside of the network: its name, a slash, and the layer's.
    name: str
    layer: Any
    inputs: tuple[keras.KerasTensor, ...]
    output: keras.KerasTensor

    @property
    def is_map(self) -> bool:
        """Whether it makes feature maps, [batch, height, width, channels], of more than one place."""
        shape = self.output.shape
        return len(shape) == 4 and max(shape[1:3]) > 1

    def before_activation(self) -> keras.KerasTensor:
        """What the layer computes before its own activation, where it has one: the output without it."""
        activation = getattr(self.layer, "activation", None)
        if activation is None or activation is keras.activations.linear or not self.layer.weights:
            return self.output
        options = {"activation": "linear", "name": f"{self.layer.name}_before_activation"}
        bare = type(self.layer).from_config({**self.layer.get_config(), **options})
        output = bare(self.inputs[0])
        bare.set_weights(self.layer.get_weights())
        return output


@dataclass(frozen=True)
class FlatNetwork:
    """The steps of a network in an order in which they can be taken; they share its weights."""

    # float32 [batch, height, width, channels], 0 to 255: the network's own, of integers, has no gradient.
    image: keras.KerasTensor
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step:
        """The step of that name; the layer's own will do. Raises NotFound, which tells some there are."""
        for step in self.steps:
            if name in (step.name, step.layer.name):
                return step
        names = [step.name for step in self.steps]
        near = difflib.get_close_matches(name, names, n=5)
        some = f"similar: {', '.join(near)}" if near else f"its last ones: {', '.join(names[-5:])}"
        raise NotFound(
            f"the network has no layer {name!r}; {some}; `spyglass inspect summary` lists them all",
            reason="LAYER_NOT_FOUND",
        )

    def model_to(self, outputs: keras.KerasTensor | list[keras.KerasTensor]) -> keras.Model:
        """The network from the image to one of its tensors, or to a list of them."""
        return keras.Model(self.image, outputs)


def flatten(model: keras.Model) -> FlatNetwork:
    """Applies every layer of a network, and of networks inside of it, to a new float32 image.

    Raises FailedPrecondition where it was not built of layers (a subclass of Model with code of its own), or
    takes more than one input.
    """
    if not _is_built_of_layers(model) or len(model.inputs) != 1:
        raise FailedPrecondition(f"{model.name} is not built of layers from a single input")
    image = keras.Input(batch_shape=model.inputs[0].shape, dtype="float32", name=model.inputs[0].name)
    steps: list[Step] = []
    _apply(model, image, "", steps)
    return FlatNetwork(image, tuple(steps))


def _is_built_of_layers(layer: Any) -> bool:
    return isinstance(layer, keras.Sequential) or hasattr(layer, "_run_through_graph")


def _apply(model: keras.Model, image: Any, prefix: str, steps: list[Step]) -> Any:
    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        if _is_built_of_layers(layer):
            return _apply(layer, arguments[0], f"{prefix}{layer.name}/", steps)
        output = layer(*arguments, **options)
        tensors = keras.tree.flatten((arguments, options))
        inputs = tuple(tensor for tensor in tensors if isinstance(tensor, keras.KerasTensor))
        steps.append(Step(f"{prefix}{layer.name}", layer, inputs, output))
        return output

    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            image = call(layer, image)
        return image
    # What Keras itself runs a network by, and `clone_model` too; the latter cuts an inner network off.
    return model._run_through_graph(image, operation_fn=lambda layer: layer, call_fn=call)
