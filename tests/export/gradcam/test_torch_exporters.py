"""Common networks written by torch's two exporters, with the default feature map."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from spyglass_export.gradcam import attach_gradcam

torch = pytest.importorskip("torch")
nn = torch.nn
functional = torch.nn.functional

SIZE = (3, 32, 40)
CLASSES = 5


class Residual(nn.Module):
    """ResNet's block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList([nn.BatchNorm2d(width), nn.BatchNorm2d(width)])

    def forward(self, x: Any) -> Any:
        y = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(y)) + x)


class InvertedResidual(nn.Module):
    """MobileNetV3's block: widened, filtered by channel, gated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen, self.narrow = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(3 * width, width, 1)
        self.filter = nn.Conv2d(3 * width, 3 * width, 5, stride=2, padding=2, groups=3 * width)
        self.squeeze, self.excite = nn.Conv2d(3 * width, 4, 1), nn.Conv2d(4, 3 * width, 1)

    def forward(self, x: Any) -> Any:
        x = functional.hardswish(self.filter(functional.hardswish(self.widen(x))))
        gate = functional.relu(self.squeeze(functional.adaptive_avg_pool2d(x, 1)))
        return self.narrow(x * functional.hardsigmoid(self.excite(gate)))


class Dense(nn.Module):
    """DenseNet's block: its output is concatenated with its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return torch.cat([x, self.convolution(functional.relu(x))], 1)


class ChannelsLast(nn.Module):
    """ConvNeXt's block: its normalisation and products have the channels last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.filter = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.inside = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Any) -> Any:
        return x + self.inside(self.filter(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _pooled(width: int) -> Any:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(width, CLASSES))


NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "resnet": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), Residual(8)), lambda: _pooled(8)),
    "vgg": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU()),
        lambda: nn.Sequential(
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d((6, 8)),
            nn.Flatten(),
            nn.Linear(8 * 48, 16),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(16, CLASSES),
        ),
    ),
    "mobilenet": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), InvertedResidual(8), nn.Conv2d(8, 12, 1), nn.Hardswish()),
        lambda: nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 16), nn.Hardswish(), nn.Linear(16, CLASSES)
        ),
    ),
    "densenet": (
        lambda: nn.Sequential(nn.Conv2d(3, 6, 3), Dense(6), nn.BatchNorm2d(12), nn.ReLU()),
        lambda: _pooled(12),
    ),
    "convnext": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), ChannelsLast(8)),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, CLASSES)),
    ),
    "squeezenet": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, CLASSES, 1), nn.ReLU()),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ),
}


def _by_torchscript(model: Any) -> onnx.ModelProto:
    buffer = io.BytesIO()
    names = {"input_names": ["image"], "output_names": ["probabilities"]}
    axes = {"image": {0: "batch"}, "probabilities": {0: "batch"}}
    sample = (torch.zeros(2, *SIZE),)
    torch.onnx.export(model, sample, buffer, dynamo=False, opset_version=17, dynamic_axes=axes, **names)
    return onnx.load_from_string(buffer.getvalue())


def _by_dynamo_with_channels_last(model: Any) -> onnx.ModelProto:
    """Views of the pooled features become a Gather by positions that the batch makes longer."""
    return _by_dynamo(model.to(memory_format=torch.channels_last), torch.channels_last)


def _by_dynamo(model: Any, memory: Any = torch.contiguous_format) -> onnx.ModelProto:
    names = {"input_names": ["image"], "output_names": ["probabilities"]}
    batch = ({0: torch.export.Dim("batch")},)
    sample = (torch.zeros(2, *SIZE).to(memory_format=memory),)
    program = torch.onnx.export(model, sample, dynamo=True, dynamic_shapes=batch, verbose=False, **names)
    exported: onnx.ModelProto = program.model_proto
    return exported


@pytest.mark.parametrize("export", [_by_torchscript, _by_dynamo, _by_dynamo_with_channels_last])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_explained_at_its_last_feature_map(
    network: str, export: Callable[[Any], onnx.ModelProto], session_of: Callable[..., Any]
) -> None:
    torch.manual_seed(0)
    features, head = (build() for build in NETWORKS[network])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = export(nn.Sequential(features, head, nn.Softmax(1)).eval())
    session = session_of(attach_gradcam(exported).model)
    for batch in (1, 5):
        image = torch.randn(batch, *SIZE)
        for class_index in range(CLASSES):
            activations = features.eval()(image).detach().requires_grad_()
            score = head.eval()(activations)[:, class_index].sum()
            (gradient,) = torch.autograd.grad(score, activations)
            raw = (activations * gradient.mean((2, 3), keepdim=True)).mean(1).relu()
            expected = (raw / raw.amax((1, 2), keepdim=True).clamp(min=1e-12)).detach().numpy()
            feeds = {"image": image.numpy(), "class_index": np.full(batch, class_index)}
            np.testing.assert_allclose(session.run(["heatmap"], feeds)[0], expected, atol=1e-4)
