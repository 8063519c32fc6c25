"""Random heads, exported by torch, compared with torch's own gradients."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import version_converter

from spyglass_export.gradcam import attach_gradcam

torch = pytest.importorskip("torch")
nn = torch.nn
functional = torch.nn.functional

SIZE = (3, 26, 25)
FEATURES = "/features/features.1/Tanh"


class Do(nn.Module):
    """A module made of one function and the modules that it calls."""

    def __init__(self, function: Callable[..., Any], *parts: Any) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Any) -> Any:
        return self.function(x, *self.parts)


class ChannelsLast(nn.LayerNorm):
    """ConvNeXt's normalisation over the channels of each place."""

    def forward(self, x: Any) -> Any:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _excite(x: Any, squeeze: Any, gate: Any) -> Any:
    return x * gate(squeeze(x.mean((2, 3), keepdim=True)))


ACTIVATIONS: list[Callable[[], Any]] = [
    nn.ReLU,
    lambda: nn.LeakyReLU(0.2),
    nn.ELU,
    nn.SELU,
    nn.ReLU6,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.Tanh,
    nn.GELU,
    lambda: nn.GELU(approximate="tanh"),
    nn.SiLU,
    nn.Softplus,
    nn.Mish,
    nn.Dropout,
    nn.Identity,
    lambda: Do(lambda x: 0.5 * x / (1.5 + x.abs()) - 0.3),
    lambda: Do(lambda x: torch.clamp(x, -0.6, 0.7)),
]

# Each keeps the number of channels; sizes are large enough for three of them in a row.
SPATIAL: list[Callable[[int], Any]] = [
    lambda c: nn.Conv2d(c, c, 1),
    lambda c: nn.Conv2d(c, c, 3, padding=1),
    lambda c: nn.Conv2d(c, c, 3, stride=2, padding=1, groups=2),
    lambda c: nn.Conv2d(c, c, 3, dilation=2, padding=2, groups=c),
    lambda c: nn.BatchNorm2d(c),
    lambda c: nn.GroupNorm(2, c),
    lambda c: ChannelsLast(c),
    lambda c: nn.MaxPool2d(2),
    lambda c: nn.MaxPool2d(3, stride=2, padding=1),
    lambda c: nn.MaxPool2d(3, stride=2, ceil_mode=True),
    lambda c: nn.MaxPool2d(3, stride=1, padding=1),
    lambda c: nn.AvgPool2d(2),
    lambda c: nn.AvgPool2d(3, stride=2, padding=1),
    lambda c: nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    lambda c: nn.ZeroPad2d((1, 0, 2, 1)),
    lambda c: nn.ReflectionPad2d(1),
    lambda c: Do(lambda x: x[:, :, 1:, :-1]),
    lambda c: Do(lambda x, f: x + f(x), nn.Conv2d(c, c, 3, padding=1)),
    lambda c: Do(
        lambda x, f, g: torch.cat([f(x), g(x)], 1), nn.Conv2d(c, c // 2, 1), nn.Conv2d(c, c - c // 2, 1)
    ),
    lambda c: Do(
        _excite, nn.Sequential(nn.Conv2d(c, 2, 1), nn.ReLU()), nn.Sequential(nn.Conv2d(2, c, 1), nn.Sigmoid())
    ),
    lambda c: Do(lambda x: torch.cat([x.chunk(2, 1)[1], x.chunk(2, 1)[0]], 1)),
]

# From [batch, channels, height, width] to [batch, features].
POOLED: list[Callable[[], Any]] = [
    lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    lambda: nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()),
    lambda: nn.Flatten(),
    lambda: Do(lambda x: x.reshape(x.size(0), -1)),
    lambda: Do(lambda x: x.mean((2, 3))),
    lambda: Do(lambda x: x.amax((2, 3))),
    lambda: Do(lambda x: x.sum(3).mean(2)),
    lambda: Do(lambda x: torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)),
    lambda: Do(lambda x: functional.normalize(x.flatten(2).mean(2), dim=1)),
    lambda: Do(lambda x: (x.flatten(2) * x.flatten(2).softmax(2)).sum(2)),
]

VECTOR: list[Callable[[int], Any]] = [
    lambda f: nn.Linear(f, f),
    lambda f: nn.Linear(f, f, bias=False),
    lambda f: nn.BatchNorm1d(f),
    lambda f: nn.LayerNorm(f),
]


FINALS: list[Callable[[], Any]] = [
    nn.Identity,
    lambda: nn.Softmax(1),
    lambda: nn.LogSoftmax(1),
    nn.Sigmoid,
]


class Classifier(nn.Module):
    """Features, a head that ends in logits, and a final activation."""

    def __init__(self, features: Any, head: Any, final: Any) -> None:
        super().__init__()
        self.features, self.head, self.final = features, head, final

    def forward(self, image: Any) -> Any:
        return self.final(self.head(self.features(image)))


@st.composite
def classifiers(draw: st.DrawFn) -> Any:
    """A small classifier whose head is random."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    channels, classes = draw(st.sampled_from([4, 6])), draw(st.integers(2, 4))
    features = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Tanh())
    activation = st.sampled_from(ACTIVATIONS).map(lambda make: make())
    layers = draw(
        st.lists(st.sampled_from(SPATIAL).map(lambda make: make(channels)) | activation, max_size=4)
    )
    layers.append(draw(st.sampled_from(POOLED))())
    size = nn.Sequential(features, *layers).eval()(torch.zeros(1, *SIZE)).shape[1]
    layers += draw(st.lists(st.sampled_from(VECTOR).map(lambda make: make(size)) | activation, max_size=3))
    head = nn.Sequential(*layers, nn.Linear(size, classes))
    return Classifier(features, head, draw(st.sampled_from(FINALS))()).eval()


# The newest opset that torch's tracing exporter writes; ONNX converts the file to newer ones.
TRACED = 20


def _export(model: Any, opset: int) -> onnx.ModelProto:
    traced = _traced(model, min(opset, TRACED))
    return traced if opset <= TRACED else version_converter.convert_version(traced, opset)


def _traced(model: Any, opset: int) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(2, *SIZE),),
            buffer,
            dynamo=False,
            opset_version=opset,
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_axes={"image": {0: "batch"}, "probabilities": {0: "batch"}},
        )
    return onnx.load_from_string(buffer.getvalue())


def _gradient(model: Any, image: Any, class_index: int, gradient_of: str) -> tuple[Any, Any]:
    """The features of some images, and the gradient of a class's score with respect to them."""
    activations = model.features(image).detach().requires_grad_()
    scores = model.head(activations)
    if gradient_of == "probability":
        scores = model.final(scores)
    (gradient,) = torch.autograd.grad(scores[:, class_index].sum(), activations)
    return activations.detach(), gradient


def _gradcam(activations: Any, gradient: Any) -> Any:
    return (activations * gradient.mean((2, 3), keepdim=True)).mean(1)


def _layercam(activations: Any, gradient: Any) -> Any:
    return (activations * gradient.relu()).sum(1)


def _gradcam_plus_plus(activations: Any, gradient: Any) -> Any:
    """Equation 19 with e^S as the class score, ΣA not below 0."""
    whole = activations.sum((2, 3), keepdim=True).relu()
    share = gradient**2 / (2 * gradient**2 + whole * gradient**3)
    weights = torch.where(gradient > 0, share * gradient, 0.0).sum((2, 3), keepdim=True)
    return (activations * weights).sum(1)


METHODS: dict[str, Callable[[Any, Any], Any]] = {
    "gradcam": _gradcam,
    "gradcam++": _gradcam_plus_plus,
    "layercam": _layercam,
}


def _scaled(raw: Any) -> Any:
    positive = raw.relu()
    return (positive / positive.amax((1, 2), keepdim=True).clamp(min=1e-12)).numpy()


def _well_conditioned(model: Any, image: Any, class_index: int, method: str, gradient_of: str) -> Any:
    """Torch's heatmap in float64. Reject the example if torch's own in float32 differs: that is rounding."""
    single, double = (
        _scaled(METHODS[method](*_gradient(precise, pixels, class_index, gradient_of)))
        for precise, pixels in ((model, image), (copy.deepcopy(model).double(), image.double()))
    )
    assume(np.abs(single - double).max() < 2e-5)
    return double


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gradient_of", ["logit", "probability"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_the_heatmap_of_a_random_head_is_that_of_autograd(
    method: Any, gradient_of: Any, data: st.DataObject, session_of: Callable[..., Any]
) -> None:
    model = data.draw(classifiers())
    opset = data.draw(st.integers(11, 21))
    batch = data.draw(st.sampled_from([1, 5]))
    exported = _export(model, opset)
    attached = attach_gradcam(exported, feature_map=FEATURES, method=method, gradient_of=gradient_of).model
    session = session_of(attached)
    image = torch.randn(batch, *SIZE)
    for class_index in range(model.head[-1].out_features):
        expected = _well_conditioned(model, image, class_index, method, gradient_of)
        feeds = {"image": image.numpy(), "class_index": np.full(batch, class_index)}
        np.testing.assert_allclose(session.run(["heatmap"], feeds)[0], expected, atol=1e-4)
