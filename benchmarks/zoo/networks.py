"""Networks of torch with random weights in which every part matters."""

from __future__ import annotations

import zlib
from typing import Any

import timm
import torch
import torchvision
from torch import nn

from zoo.architectures import Architecture
from zoo.images import CLASSES, images

_NORMALISING = nn.modules.batchnorm._BatchNorm
# Images that the statistics of batch normalisation come from.
_CALIBRATION = 8


def network_of(architecture: Architecture) -> tuple[nn.Module, int]:
    """Return a network in inference mode, float32, and the side of its square input in pixels.

    The weights depend on the architecture's key alone.
    """
    torch.manual_seed(zlib.crc32(architecture.key.encode()))
    if architecture.source == "timm":
        model = timm.create_model(
            architecture.name, pretrained=False, num_classes=CLASSES, **architecture.arguments
        )
        config: Any = model.pretrained_cfg
        side = config["input_size"][-1]
        side = architecture.arguments.get("img_size", side)
    else:
        make = getattr(torchvision.models, architecture.name)
        model, side = make(num_classes=CLASSES, **architecture.arguments), 224
    enliven(model.eval(), side)
    return model, side


def enliven(model: nn.Module, side: int) -> None:
    """Give random values to parameters that begin as constants, and statistics to batch normalisations.

    Published code starts many blocks as the identity: with a last scale of 0, or a layer scale of 1e-6. Such
    a block would hide a wrong derivative.
    """
    for name, parameter in model.named_parameters():
        value = parameter.data
        if value.numel() > 1 and not bool((value == value.flatten()[0]).all()):
            continue
        _randomise(name, value)
    _calibrate(model, side)
    modules: list[Any] = list(model.modules())
    for module in modules:
        if hasattr(module, "inplace"):
            module.inplace = False


def _randomise(name: str, value: torch.Tensor) -> None:
    constant = float(value.flatten()[0])
    if value.ndim <= 1 and abs(constant) >= 0.9:
        value.mul_(torch.empty_like(value).uniform_(0.5, 1.5))
    elif name.endswith("bias") or (constant == 0 and value.ndim > 1):
        value.normal_(0, 0.05)
    else:
        # Layer scales, and last scales of residual branches.
        value.uniform_(0.2, 0.6)


@torch.no_grad()
def _calibrate(model: nn.Module, side: int) -> None:
    found = [module for module in model.modules() if isinstance(module, _NORMALISING)]
    kept = [module.momentum for module in found]
    for module in found:
        module.train()
        module.reset_running_stats()
        module.momentum = None
    if found:
        model(fed(images(_CALIBRATION, side, seed=1)))
    for module, momentum in zip(found, kept, strict=True):
        module.eval()
        module.momentum = momentum
        mean, variance = module.running_mean, module.running_var
        assert mean is not None and variance is not None
        mean.add_(variance.sqrt() * torch.empty_like(mean).normal_(0, 0.3))
        variance.mul_(torch.empty_like(mean).uniform_(0.6, 1.6)).add_(1e-4)


def fed(pixels: Any) -> torch.Tensor:
    """Return pixels uint8 [batch, height, width, 3] as the networks' input, [batch, 3, height, width]."""
    from zoo.images import preprocessed

    return torch.from_numpy(preprocessed(pixels))
