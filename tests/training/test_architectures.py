"""Architectures: shapes, the scale of the initial weights, batch norm where it should be, and that they can be sliced."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from splineviz.tracing.trace import trace
from splineviz.training.architectures import convnet, mlp, resnet18


def seeded(make, *args, **options):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make(*args, **options)


def test_the_scale_multiplies_every_weight_and_bias():
    plain, scaled = seeded(mlp, (4, 6, 2)), seeded(mlp, (4, 6, 2), scale=8.0)
    for a, b in zip(plain.parameters(), scaled.parameters(), strict=True):
        assert torch.equal(8.0 * a, b)


def test_an_mlp_has_its_activation_between_its_layers():
    kinds = [type(m) for m in mlp((4, 6, 5, 2), activation="gelu", batch_norm=True)]
    assert kinds == [nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Linear]


@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 6)], ids=["grey", "colour"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_convolutional_network_can_be_traced(shape, batch_norm):
    net = seeded(convnet, shape, 5, channels=2, batch_norm=batch_norm).eval()
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == batch_norm
    x = torch.rand(3, *shape)
    program = trace(net, shape)
    assert torch.allclose(program(x.double()).float(), net(x), atol=1e-5)
    assert [layer.shape[0] for layer in program.layers] == [2, 2, 2, 4, 4], "stem, and two in each block"


def test_the_way_past_a_block_is_added():
    block = convnet((8, 8), 2, channels=2).blocks[0]
    with torch.no_grad():
        for p in block.parameters():
            p.zero_()
        x = torch.rand(1, 2, 4, 4)
        assert torch.equal(block(x), x), "with no weights a block hands on what came in"


def test_resnet18_is_the_papers():
    net = seeded(resnet18, (3, 32, 32), 10)
    assert sum(p.numel() for p in net.parameters()) == 699_066, "16, 32, 64, 128 channels, no batch norm, one bias"
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in net.modules()) == 17
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    small = seeded(resnet18, (3, 16, 16), 2, channels=2, batch_norm=True).eval()
    x = torch.rand(2, 3, 16, 16)
    program = trace(small, (3, 16, 16))
    assert torch.allclose(program(x.double()).float(), small(x), atol=1e-5)
    assert [layer.shape for layer in program.layers[::4]] == [(2, 16, 16), (2, 16, 16), (4, 8, 8), (8, 4, 4)]
