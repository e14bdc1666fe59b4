"""Local complexity of networks as they are published, against plain forward hooks on the user's module: none differs."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from splineviz.metrics.complexity import local_complexity
from splineviz.metrics.directions import GROUP, SMALL_GROUP, Directions

BREAKPOINTS = {nn.ReLU: (0.0,), nn.GELU: (0.0,), nn.ReLU6: (0.0, 6.0), nn.Hardswish: (0.0,)}
VECTORS, SEED = 5, 4


class Basic(nn.Module):
    """The block of ResNet18: two convolutions with batch norm, one ReLU in place that is called twice."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu, same = nn.ReLU(inplace=True), inputs == outputs and stride == 1
        past = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = None if same else past

    def forward(self, x: Tensor) -> Tensor:
        way = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        x += way
        return self.relu(x)


def resnet18() -> nn.Module:
    wide = ((4, 4, 1), (4, 8, 2), (8, 12, 2), (12, 16, 2))
    stages = [Basic(a, b, s) for i, o, t in wide for a, b, s in ((i, o, t), (o, o, 1))]
    stem = [nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))


class ViT(nn.Module):
    """A vision transformer: patches, a class token, two pre-norm encoder blocks with GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 12, 8, 8), nn.Parameter(torch.randn(1, 1, 12))
        self.places, self.norm, self.head = nn.Parameter(torch.randn(1, 17, 12)), nn.LayerNorm(12), nn.Linear(12, 5)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({
                "ln1": nn.LayerNorm(12), "attention": nn.MultiheadAttention(12, 3, batch_first=True),
                "ln2": nn.LayerNorm(12),
                "mlp": nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12)),
            })
            for _ in range(2)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.places
        for block in self.blocks:
            y = block["ln1"](x)
            x = x + block["attention"](y, y, y, need_weights=False)[0]
            x = x + block["mlp"](block["ln2"](x))
        return self.head(self.norm(x[:, 0]))


def mobile() -> nn.Module:
    """Depthwise convolutions with ReLU6 and dropout, as torchvision's MobileNetV2 has them."""

    def step(inputs: int, outputs: int, stride: int, groups: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6(True)]

    body = [*step(3, 8, 2), *step(8, 8, 1, 8), *step(8, 12, 2), *step(12, 12, 1, 12)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(12, 5))


def of_torchvision(name: str) -> Callable[[], nn.Module]:
    """A model of torchvision's, where it is installed; without its operators for detection, which may not fit this torch."""

    def build() -> nn.Module:
        if importlib.util.find_spec("torchvision") is None:
            pytest.skip("torchvision is not installed")
        usual: Any = torch.library.register_fake

        def patient(op: Any, *args: Any, **kwargs: Any) -> Any:
            foreign = isinstance(op, str) and op.startswith("torchvision::")
            return (lambda made: made) if foreign else usual(op, *args, **kwargs)

        torch.library.register_fake = patient  # type: ignore[assignment]
        try:
            models = importlib.import_module("torchvision.models")
        finally:
            torch.library.register_fake = usual
        more = {"image_size": 32} if name.startswith("vit") else {}
        return getattr(models, name)(weights=None, num_classes=5, **more)  # type: ignore[no-any-return]

    return build


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": resnet18, "vit": ViT, "mobile": mobile,
    "torchvision resnet18": of_torchvision("resnet18"), "torchvision mobilenet_v2": of_torchvision("mobilenet_v2"),
}  # fmt: skip


def hooked(model: nn.Module, at: Tensor) -> list[tuple[Tensor, tuple[float, ...]]]:
    """What enters every activation module, in order of calls, with its breakpoints, by plain hooks."""
    seen: list[tuple[Tensor, tuple[float, ...]]] = []

    def see(points: tuple[float, ...]) -> Callable[..., None]:
        return lambda _, args: seen.append((args[0].flatten(1).clone(), points))

    kinds = [(m, BREAKPOINTS[type(m)]) for m in model.modules() if type(m) in BREAKPOINTS]
    hooks = [m.register_forward_pre_hook(see(points)) for m, points in kinds]
    with torch.no_grad():
        model(at)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("name", NETWORKS)
def test_local_complexity_is_that_of_hooks(name: str) -> None:
    torch.manual_seed(5)
    model = NETWORKS[name]().double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
    x = torch.rand(7, 3, 32, 32, dtype=torch.float64)
    found = local_complexity(model, x, radius=0.6, num_vectors=VECTORS, seed=SEED)
    directions = Directions(math.prod(x.shape[1:]), VECTORS, SEED, False)
    assert len(x) <= min(GROUP, SMALL_GROUP)
    v = directions.frames(0, len(x)).double().reshape(len(x), VECTORS, *x.shape[1:])
    at = torch.cat([x[:, None] + 0.6 * v, x[:, None] - 0.6 * v], dim=1)
    differ = 0
    seen = [(z, b) for z, breakpoints in hooked(model, at.flatten(0, 1)) for b in breakpoints]  # each a unit of its own
    assert len(seen) == len(found.units) and len(set(found.layers)) == len(found.layers), "every layer has a name of its own"
    for counts, (z, b) in zip(found.counts, seen, strict=True):
        z = z.reshape(len(x), 2 * VECTORS, -1)
        low, high = z.min(dim=1).values, z.max(dim=1).values
        differ += int((np.asarray(counts) != ((low < b) & (high > b)).sum(dim=1).numpy()).sum())
    assert differ == 0 and found.counts.sum() > 3 * len(x)
