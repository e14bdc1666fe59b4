r"""Architectures: the networks that recipes train.

    mlp       flatten - [linear - (batch norm) - activation] ... - linear
    convnet   conv 3x3, stride 2 - two residual blocks, the second at half the resolution - mean over pixels - linear
    resnet18  conv 3x3 - four stages of two pre-activation blocks, each stage but the first at half the resolution and
              twice the channels - mean over pixels - linear (He et al., arXiv 1603.05027)

              x --conv-(bn)-relu-conv-(bn)-- + --relu-->      a residual block; where the resolution changes the
               \------- (1x1, stride 2) ----/                 way past it is a 1x1 convolution

The MLP is that of arXiv 2402.15555 and its published code, where depth counts the linear layers, the last one included,
and all weights and biases may be multiplied by a scale after PyTorch's default initialisation. The convolutional network
is residual and with batch norm or without, but small enough for a slice on two cores. ResNet18 is the paper's own: 16
channels in the first stage, no batch norm, no biases but the last layer's.
This file knows only torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}
"""Activations of `mlp` by name. GELU is smooth: its networks have no regions, only a sampled local complexity."""


def mlp(widths: Sequence[int], *, activation: str = "relu", batch_norm: bool = False, scale: float = 1.0) -> nn.Sequential:
    """A fully connected network, freshly initialised from the global random state.

    widths: of all layers, input and output included; activation: a name of ACTIVATIONS; batch_norm: before each
    activation; scale: multiplies every weight and bias of the linear layers (the paper's Fig. 7: 8).
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        if i:
            layers += [nn.BatchNorm1d(inputs)] if batch_norm else []
            layers.append(ACTIVATIONS[activation]())
        layers.append(nn.Linear(inputs, outputs))
    with torch.no_grad():
        for layer in layers:
            if isinstance(layer, nn.Linear) and scale != 1.0:
                layer.weight.mul_(scale)
                layer.bias.mul_(scale)
    return nn.Sequential(*layers)


def convnet(input_shape: Sequence[int], outputs: int, *, channels: int = 8, batch_norm: bool = False) -> ConvNet:
    """A small residual convolutional network, freshly initialised from the global random state.

    input_shape: (height, width) or (colours, height, width); channels: of the first half, twice as many in the second.
    """
    return ConvNet(tuple(input_shape), outputs, channels, batch_norm)


class ConvNet(nn.Module):
    """What `convnet` makes; inputs (n, *input_shape), outputs (n, outputs)."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, channels: int, batch_norm: bool):
        super().__init__()
        self.input_shape = (1, *input_shape) if len(input_shape) == 2 else input_shape
        self.stem = _convolution(self.input_shape[0], channels, 3, 2, batch_norm)
        self.relu = nn.ReLU()
        self.blocks = nn.Sequential(
            Residual(channels, channels, 1, batch_norm), Residual(channels, 2 * channels, 2, batch_norm)
        )
        self.head = nn.Linear(2 * channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, outputs) of inputs (n, *input_shape)."""
        x = self.relu(self.stem(torch.reshape(x, (-1, *self.input_shape))))
        return self.head(self.blocks(x).mean(dim=(2, 3)))


class Residual(nn.Module):
    """A block of two convolutions with a way past it, as drawn in the module's docstring."""

    def __init__(self, inputs: int, outputs: int, stride: int, batch_norm: bool):
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, stride, batch_norm)
        self.second = _convolution(outputs, outputs, 3, 1, batch_norm)
        self.relu = nn.ReLU()
        same = inputs == outputs and stride == 1
        self.past = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """The block's values, (n, outputs, height, width)."""
        return self.relu(self.second(self.relu(self.first(x))) + self.past(x))


def resnet18(input_shape: Sequence[int], outputs: int, *, channels: int = 16, batch_norm: bool = False) -> ResNet18:
    """The paper's ResNet18 for small pictures, freshly initialised from the global random state.

    input_shape: (colours, height, width); channels: of the first stage (the paper: 16; a usual ResNet18: 64).
    """
    return ResNet18(tuple(input_shape), outputs, channels, batch_norm)


class ResNet18(nn.Module):
    """What `resnet18` makes; inputs (n, *input_shape), outputs (n, outputs)."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, channels: int, batch_norm: bool):
        super().__init__()
        self.stem = nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False)
        stages, inputs = [], channels
        for k in range(4):
            wide = channels * 2**k
            stages += [PreActivation(inputs, wide, 2 if k else 1, batch_norm), PreActivation(wide, wide, 1, batch_norm)]
            inputs = wide
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, outputs) of inputs (n, *input_shape)."""
        return self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))


class PreActivation(nn.Module):
    """Two convolutions, each behind its own (batch norm and) ReLU, with a way past them."""

    def __init__(self, inputs: int, outputs: int, stride: int, batch_norm: bool):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs) if batch_norm else nn.Identity()
        self.norm2 = nn.BatchNorm2d(outputs) if batch_norm else nn.Identity()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        same = inputs == outputs and stride == 1
        self.past = None if same else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The block's values, (n, outputs, height, width)."""
        z = self.relu1(self.norm1(x))
        past = x if self.past is None else self.past(z)
        return self.second(self.relu2(self.norm2(self.first(z)))) + past


def _convolution(inputs: int, outputs: int, size: int, stride: int, batch_norm: bool) -> nn.Sequential:
    """A convolution that keeps the picture's size but for its stride, and batch norm if wanted."""
    layer = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs)) if batch_norm else nn.Sequential(layer)
