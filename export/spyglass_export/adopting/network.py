"""A classifier from elsewhere: its results in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from spyglass_contract.errors import ModelError
from spyglass_contract.model.card import CLASS_INDEX, FEATURE_MAP, HEATMAP, METADATA_KEY, SCORES
from spyglass_export.gradcam.errors import ScoresError
from spyglass_export.runtime_errors import first_sentence
from spyglass_export.session import open_session


def reject_model_with_heatmap(model: onnx.ModelProto) -> None:
    """Raise ModelError for a model file of Spyglass, and for a network that already has a heatmap."""
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise ModelError(
            "the file is already a Spyglass model with card and certificate; for another heatmap, export its "
            "run again with `spyglass export`, or give the network from before `spyglass adopt`"
        )
    # Check the input too: a network of another kind may have an output called heatmap.
    has_class_index = any(value.name == CLASS_INDEX for value in model.graph.input)
    found = [value.name for value in model.graph.output if value.name in (HEATMAP, FEATURE_MAP, SCORES)]
    if has_class_index and found:
        raise ModelError(
            f"the network already has a heatmap, its output {found[0]}; give the network without a heatmap"
        )


def takes_several(batch: int) -> ModelError:
    """Return the error for a network that works for a fixed number of images only."""
    return ModelError(f"the network takes {batch} images at a time; export it with a dynamic batch")


class Network:
    """The given network in ONNX Runtime, unchanged except that its only output is `output`."""

    def __init__(
        self, model: onnx.ModelProto, output: str, batch: int | None = None, *, optimised: bool = True
    ) -> None:
        """Open the network; `output` may be any of its tensors.

        A network that declares a `batch` of several images gets that number of copies of each image. Raises
        ModelError if it cannot be opened.
        """
        self.batch = batch or 1
        self._session = open_session(_with_output(model, output).SerializeToString(), optimised=optimised)
        self.output = output

    def takes(self, element: int, shape: tuple[int, ...]) -> bool:
        """Return whether the network runs on an input of this type, as in TensorProto.DataType, and shape."""
        try:
            self._run(_zeros(element, shape))
        # ONNX Runtime's exceptions have no common base class.
        except Exception:
            return False
        return True

    def declared(self, element: int, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        """Return the declaration of the output, of its type and sizes for an input of zeros.

        What the file declares may be wrong: no runtime rejects that. The first size stays open. Raises
        ModelError if the network fails, and ScoresError if its output is not numbers.
        """
        found = self._numbers(_zeros(element, shape))
        kind = helper.np_dtype_to_tensor_dtype(found.dtype)
        sizes = [None, *found.shape[1:]] if found.ndim else []
        return helper.make_tensor_value_info(self.output, kind, sizes)

    def run(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return the output for one image [1, …] as [1, columns].

        Raises ModelError if the network fails or its output is not finite, and ScoresError if it does not
        return one number for each class.
        """
        found = self._numbers(image)
        if found.size == 0 or sum(size != 1 for size in found.shape) > 1:
            raise ScoresError(
                f"the class scores must hold one number for each class, but '{self.output}' has the shape "
                f"{list(found.shape)} for one image"
            )
        # A network for one image may leave out the axis of the batch.
        scores = np.asarray(found, np.float32).reshape(1, -1)
        if not np.isfinite(scores).all():
            raise ModelError(
                f"the output '{self.output}' is NaN or infinite for an image; check the preprocessing "
                "(--scale, --mean, --std), and whether the network is damaged"
            )
        return scores

    def _numbers(self, image: NDArray[Any]) -> NDArray[Any]:
        try:
            found = self._run(image)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"the network fails on an image of shape {list(image.shape)}: {first_sentence(error)}"
            ) from error
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
            raise ScoresError(
                f"the output '{self.output}' does not hold numbers; name the tensor of class scores with "
                "--scores"
            )
        return found

    def _run(self, image: NDArray[Any]) -> Any:
        name = self._session.get_inputs()[0].name
        found = self._session.run([self.output], {name: np.repeat(image, self.batch, axis=0)})[0]
        if self.batch == 1:
            return found
        if np.shape(found)[:1] != (self.batch,):
            raise takes_several(self.batch)
        return found[:1]


def _zeros(element: int, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(element))


def _with_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    if [value.name for value in model.graph.output] == [name]:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    declared = [value for value in model.graph.output if value.name == name]
    del copy.graph.output[:]
    # ONNX Runtime finds the type of an output that has none.
    copy.graph.output.extend(declared or [onnx.ValueInfoProto(name=name)])
    return copy
