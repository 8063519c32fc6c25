"""A network as a row of steps, with nested networks expanded, so that every tensor is available."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import keras

from spyglass_contract.errors import FailedPrecondition, NotFound


@dataclass(frozen=True)
class Step:
    """One application of a layer."""

    # In a nested network: the nested network's name, a slash, and the layer's name.
    name: str
    layer: Any
    inputs: tuple[keras.KerasTensor, ...]
    output: keras.KerasTensor

    @property
    def is_map(self) -> bool:
        """True for feature maps [batch, height, width, channels] of more than one position."""
        shape = self.output.shape
        return len(shape) == 4 and max(shape[1:3]) > 1

    def before_activation(self) -> keras.KerasTensor:
        """Return the layer's output without its own activation, if it has one."""
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
    """The steps of a network in an order of execution; they share its weights."""

    # float32 [batch, height, width, channels], 0 to 255. The network's own input has integers and thus no
    # gradient.
    image: keras.KerasTensor
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step:
        """Return the step of that name, or of the layer of that name. Raises NotFound with similar names."""
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
        """Return the network from the image to one of its tensors, or to a list of them."""
        return keras.Model(self.image, outputs)


def flatten(model: keras.Model) -> FlatNetwork:
    """Apply every layer of a network, and of nested networks, to a new float32 image.

    Raises FailedPrecondition if the network was not built of layers (a subclass of Model with its own code),
    or has more than one input.
    """
    if not _is_built_of_layers(model) or len(model.inputs) != 1:
        raise FailedPrecondition(f"{model.name} must be built of layers and have a single input")
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
    # Keras runs a network by this method, and so does `clone_model`; the latter would remove a nested
    # network.
    return model._run_through_graph(image, operation_fn=lambda layer: layer, call_fn=call)
