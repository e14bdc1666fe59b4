"""Parts that the test networks are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


class Forward(nn.Module):
    """Named parts and a forward that is any function of them and the input."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **parts: Any):
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, tuple):
                self.register_buffer(name, part[0])
            elif isinstance(part, nn.Module):
                self.add_module(name, part)
            else:
                setattr(self, name, part)
        self.function = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def lin(*widths: int) -> nn.Linear:
    return nn.Linear(*widths)


def conv(*sizes: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(*sizes, **options)


class Block(nn.Module):
    """A residual block as published code writes it: batch norm, ReLU in place, projection on the shortcut."""

    def __init__(self, a: int, b: int, stride: int):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(a), nn.Conv2d(a, b, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(b), nn.Conv2d(b, b, 3, 1, 1, bias=False)
        if stride != 1 or a != b:
            self.shortcut = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        out = self.conv1(out)
        out = self.conv2(F.relu(self.bn2(out), inplace=True))
        out += shortcut
        return out
