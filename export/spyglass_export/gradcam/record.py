"""A record of the gradient in a file, for checks of the file: the description of the heatmap's branch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True)
class GradientRecord:
    """The tensors of a gradient ∂score/∂A that a heatmap's branch computes.

    `explained` names the tensors of the graph that A consists of, and `activations` the tensor that holds all
    numbers of A. The tensor `gradient` has its shape, perhaps with axes of size 1 along which all numbers are
    the same. If `summed` is not empty, `gradient` is the sum over these axes of A, without the axes, and
    `magnitudes`, if it is not empty, the sum of the magnitudes. The score of a class is its number in the
    tensor `scores`; if that holds one logit for two classes, it is the logit of `logit_of`.

    If A joins maps of several sizes, `parts` holds for each of `explained` the tensors of its own numbers and
    of their gradient, both before they are brought to one size.
    """

    explained: tuple[str, ...]
    activations: str
    gradient: str
    scores: str
    logit_of: int | None = None
    summed: tuple[int, ...] = ()
    magnitudes: str = ""
    parts: tuple[tuple[str, str], ...] = ()

    def of_part(self, tensor: str) -> GradientRecord:
        """Return the record of the gradient of one of the explained tensors."""
        if not self.parts:
            return self
        activations, gradient = self.parts[self.explained.index(tensor)]
        return replace(self, activations=activations, gradient=gradient, summed=(), magnitudes="", parts=())

    def text(self) -> str:
        """Return the record as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read_record(text: str) -> GradientRecord | None:
    """Return the record in the description of a branch, None if it has none."""
    if not text:
        return None
    found = json.loads(text)
    found["explained"], found["summed"] = tuple(found["explained"]), tuple(found["summed"])
    found["parts"] = tuple((activations, gradient) for activations, gradient in found.get("parts", ()))
    return GradientRecord(**found)
