"""Every tensor that torch computes in a forward pass, found again by its values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.overrides import TorchFunctionMode

# Largest difference between two float32 runs of one network, of the largest magnitude of the tensor.
_TOLERANCE = 2e-3
_MOST_AXES = 6


class _Recorder(TorchFunctionMode):
    """Keeps every real tensor that depends on the image, in the order of its computation."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[torch.Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for found in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(found, torch.Tensor) and found.requires_grad and found.is_floating_point():
                self.tensors.append(found)
        return result


@dataclass(frozen=True)
class Recording:
    """One forward pass of a network on one `image`: `scores` [1, classes], and all tensors in order.

    The order depends on the network alone, so an index means the same tensor for every image and precision.
    """

    image: torch.Tensor
    tensors: Sequence[torch.Tensor]
    scores: torch.Tensor

    def gradient(self, index: int, class_index: int) -> torch.Tensor:
        """Return ∂score/∂tensor by autograd, of the shape of the tensor."""
        score = self.scores[0, class_index]
        (found,) = torch.autograd.grad(score, self.tensors[index], retain_graph=True, allow_unused=True)
        return torch.zeros_like(self.tensors[index]) if found is None else found

    def bypass(self, indices: Sequence[int], class_index: int) -> float:
        """Return the part of ∂score/∂image that does not pass through some tensors, of the whole, by norm.

        0 if the score depends on the image through these tensors alone. None of them depends on another one.
        """
        score = self.scores[0, class_index]
        (whole,) = torch.autograd.grad(score, self.image, retain_graph=True)
        rest = whole
        for index in indices:
            through = self.gradient(index, class_index)
            (part,) = torch.autograd.grad(self.tensors[index], self.image, through, retain_graph=True)
            rest = rest - part
        return float(rest.norm() / whole.norm().clamp(min=1e-30))


def record(model: nn.Module, image: torch.Tensor) -> Recording:
    """Run a network on one image [1, 3, height, width] in the precision of the image."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    given = image.clone().requires_grad_()
    with _Recorder() as recorder:
        scores = model(given)
    return Recording(given, recorder.tensors, scores)


def matching(recording: Recording, value: NDArray[np.float32]) -> Iterator[int]:
    """Yield the indices of the tensors with the numbers of `value`, in any order of axes.

    The first computed comes first. Two tensors may have the same numbers: one is a copy of the other.
    """
    wanted = value.astype(np.float64)
    scale, moments = float(np.abs(wanted).max()), _moments(wanted)
    for index, tensor in enumerate(recording.tensors):
        if tensor.numel() == value.size:
            found = tensor.detach().double().numpy()
            near = np.abs(_moments(found) - moments) <= _TOLERANCE * scale
            if near.all() and _is_permuted(found, wanted, scale):
                yield index


def _moments(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers that no order of the values changes."""
    spread = np.sqrt((values**2).mean())
    return np.array([values.mean(), spread, values.max(), values.min()])


def _is_permuted(found: NDArray[np.float64], wanted: NDArray[np.float64], scale: float) -> bool:
    squeezed = found.squeeze()
    if squeezed.ndim > _MOST_AXES:
        return False
    for order in permutations(range(squeezed.ndim)):
        difference = np.abs(squeezed.transpose(order).ravel() - wanted.ravel()).max()
        if difference <= _TOLERANCE * scale:
            return True
    return False
