"""Networks that spell every operation in every way that tracing knows, a family each: (module, input shape) by name."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from parts import Forward, conv, lin
from torch import Tensor, nn


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape))


def picked(m: Any, x: Tensor) -> Tensor:
    z = m.a(x).unflatten(1, (3, 4))
    one, two, three = z.unbind(1)
    left, right = z.tensor_split(2, dim=2)
    short, long = torch.split_with_sizes(z.narrow(1, 0, 2), [1, 3], dim=2)
    moved = z.movedim(1, 2).moveaxis(1, 2).swapaxes(1, 2).mT
    parts = [z.select(1, 1), one - two, three, left.flatten(1), right.flatten(1), short.flatten(1), long.flatten(1)]
    parts.append(z.index_select(2, torch.tensor([2, 0])).flatten(1))
    return m.out(F.relu(torch.concat([*parts, moved.reshape(z.shape[0], -1)], dim=1)))


def repeated(m: Any, x: Tensor) -> Tensor:
    z = m.a(x)
    y = z.repeat(1, 2) + z.tile(1, 2) - z.repeat_interleave(2, dim=1)
    first, last = z[:, :1], z[:, 3:]
    wide = first.expand(-1, 4) + last.expand_as(z) - torch.broadcast_to(z[:, 1:2], (-1, 4))
    return m.out(F.relu(torch.concatenate([y, wide], dim=1)))


def in_place(function: Callable[[Any, Any], Tensor], a: Tensor, b: Any) -> Tensor:
    """a += b as torch.export and others record it; under fx alone it becomes a + b."""
    return a.tracer.create_proxy("call_function", function, (a, b), {}) if isinstance(a, torch.fx.Proxy) else function(a, b)


def arithmetic(m: Any, x: Tensor) -> Tensor:
    y = z = m.a(x)
    for function, b in ((operator.iadd, 0.25), (operator.isub, m.t), (operator.imul, m.t), (operator.itruediv, 1.5)):
        y = in_place(function, y, b)
    y = y + z  # z is y by now
    y = torch.subtract(y, 0.5).multiply(2.0).divide(3.0).true_divide(m.t).div(0.7)
    y = torch.rsub(F.relu(+y), torch.negative(y), alpha=0.5)
    return m.out(F.relu(y).absolute() + (1.0 - y))


def kinks(m: Any, x: Tensor) -> Tensor:
    z = m.a(x)
    bent = [
        F.relu6(4.0 * z), F.hardsigmoid(4.0 * z), F.softshrink(z, 0.2), F.hardtanh(z, -0.3, 0.8), F.threshold(z, 0.1, 0.1),
        torch.threshold(z, -0.3, -0.3), z.clip(-0.4, 0.2), z.clamp_max(0.3), F.prelu(z, m.slope),
        F.leaky_relu(z, -0.2),
    ]  # fmt: skip
    return m.out(m.act(m.b(torch.cat(bent, dim=1))))


def in_order(m: Any, x: Tensor) -> Tensor:
    z = torch.nan_to_num(m.a(x))
    least, so_far = z.kthvalue(2, 1, True).values, torch.cat([z.cummax(1).values, z.cummin(1).values], dim=1)
    middle = z.median(1, keepdim=True).values
    largest, two = z.sort(dim=1, descending=True).values, z.topk(2, largest=False).values
    return m.out(torch.cat([largest, two, least, middle, so_far], dim=1))


def identities(m: Any, x: Tensor) -> Tensor:
    z = m.a(x.requires_grad_().double()).contiguous().clone().to(torch.float64).type(torch.float64).type_as(x)
    z = z.view_as(m.t.expand(x.shape[0], 6)).unflatten(1, (2, 3)).reshape_as(z) + torch.zeros_like(z) + m.t.expand_as(z)
    z = F.dropout(z, 0.5, m.training)
    z = F.feature_alpha_dropout(F.alpha_dropout(z, 0.5, training=m.training), 0.5, training=m.training)
    z = F.dropout1d(z[:, None], training=m.training)[..., None]
    z = F.dropout3d(F.dropout2d(z, training=m.training)[..., None], training=m.training).flatten(1)
    z = torch.ops.aten._to_copy(torch.detach_copy(torch.ops.aten.alias(z.detach())), dtype=torch.float64)
    return m.out(F.relu(m.drop(z)))


def in_one_dimension(m: Any, x: Tensor) -> Tensor:
    z = F.conv1d(x, m.w, m.c, padding=1)
    z = F.batch_norm(z, m.mean, m.var, m.scale, m.shift, m.training)
    z = F.avg_pool1d(F.relu(z), 2)
    z = F.instance_norm(z, m.mean, m.var, use_input_stats=False)
    return m.out(F.relu(F.conv_transpose1d(z, m.v, stride=2)).flatten(1))


def in_two_dimensions(m: Any, x: Tensor) -> Tensor:
    z = F.relu(F.conv2d(F.pad(x, (1, 0, 0, 1), mode="replicate"), m.w, m.c))
    z = F.conv_transpose2d(F.adaptive_avg_pool2d(z, 2), m.v, stride=2, output_padding=1)
    return m.out(F.relu(F.avg_pool2d(z, 2, ceil_mode=True)).flatten(1))


def in_three_dimensions(m: Any, x: Tensor) -> Tensor:
    z = F.relu(F.conv3d(torch.constant_pad_nd(x, (1, 0), 0.3), m.w, stride=2, padding=1))
    z = F.relu(F.conv_transpose3d(z, m.v))
    return m.out(F.relu(F.adaptive_avg_pool3d(z, (1, 2, 2)).flatten(1) + F.avg_pool3d(z, (3, 2, 2)).flatten(1)))


def products(m: Any, x: Tensor) -> Tensor:
    z = torch.addmm(m.c, x, m.w)
    return m.out(F.relu(F.linear(torch.mm(F.relu(z), m.u), m.v.T, m.d)))


def patches(m: Any, x: Tensor) -> Tensor:
    columns = F.relu(F.unfold(m.a(x), 2) - 0.1)
    z = m.b(F.fold(columns, (3, 3), 2))  # entries in the middle stand in several columns and are summed
    return m.out(F.relu(F.pixel_unshuffle(F.channel_shuffle(z, 2), 2)).flatten(1))


def largest_of_pairs(m: Any, x: Tensor) -> Tensor:
    z = m.a(x)
    pairs = z.unflatten(1, (1, 4, 2))
    found = [
        F.max_pool2d(pairs, (1, 2)), F.max_pool3d(pairs[:, None], (1, 2, 1)), F.adaptive_max_pool2d(pairs, (4, 1)),
        F.adaptive_max_pool3d(pairs[:, None], (1, 2, 2)), F.adaptive_max_pool1d(z[:, None], 4),
        pairs.amax(3), torch.amin(pairs, dim=3), pairs.min(dim=3).values, torch.min(z[:, :4], z[:, 4:]),
        torch.maximum(z[:, :4], -z[:, 4:]),
    ]  # fmt: skip
    return m.out(torch.cat([part.flatten(1) for part in found], dim=1))


def exported(network: nn.Module, shape: tuple[int, ...], *, apart: bool = False) -> nn.Module:
    """What torch.export makes of a network; apart: in the core operations of aten alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = (torch.zeros(2, *shape, dtype=torch.float64),)
        batch = torch.export.Dim("batch", max=1024)  # torch 2.6 refuses one without an end for some operations
        torch.compiler.reset()  # torch 2.6 counts all exports of one forward, Forward's, and stops after eight
        program = torch.export.export(network.double().eval(), inputs, dynamic_shapes=({0: batch},))
        return (program.run_decompositions() if apart else program).module()


OPERATIONS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "sums along a dimension": (
        lambda: Forward(
            lambda m, x: m.out(F.relu((z := m.a(x).cumsum(1)).diff(dim=1) + 0.2 * z.sum(dim=1, keepdim=True))),
            a=lin(3, 6),
            out=lin(5, 2),
        ),
        (3,),
    ),
    "picked apart": (lambda: Forward(picked, a=lin(3, 12), out=lin(50, 2)), (3,)),
    "repeated": (lambda: Forward(repeated, a=lin(3, 4), out=lin(12, 2)), (3,)),
    "triangles": (
        lambda: Forward(
            lambda m, x: m.out(
                F.relu((z := m.a(x).view(-1, 3, 3)).tril() - 0.5 * z.triu(1) + z.diagonal(0, 1, 2)[:, None]).flatten(1)
            ),
            a=lin(3, 9),
            out=lin(9, 2),
        ),
        (3,),
    ),
    "arithmetic by other names": (
        lambda: Forward(arithmetic, a=lin(3, 5), t=torch.tensor([0.5, -0.8, 1.2, 0.9, -1.1]), out=lin(5, 2)),
        (3,),
    ),
    "kinks as functions": (
        lambda: Forward(kinks, a=lin(3, 2), slope=parameter(2), b=lin(20, 4), act=nn.LeakyReLU(0.1), out=lin(4, 2)),
        (3,),
    ),
    "in order": (lambda: Forward(in_order, a=lin(3, 3), out=lin(13, 2)), (3,)),
    "left as it was": (
        lambda: Forward(
            identities,
            a=lin(3, 6),
            t=(torch.zeros(1, 6),),
            drop=nn.Sequential(nn.Identity(), nn.Dropout(), nn.AlphaDropout(), nn.FeatureAlphaDropout()),
            out=lin(6, 2),
        ),
        (3,),
    ),
    "casts between precisions": (
        lambda: Forward(
            lambda m, x: m.out(F.relu(m.a(x.float().half()).bfloat16()).to(torch.float16).type(torch.float32)).to(x.dtype),
            a=lin(3, 5),
            out=lin(5, 2),
        ),
        (3,),
    ),
    "layers as functions, one dimension": (
        lambda: Forward(
            in_one_dimension, w=parameter(3, 2, 3), c=parameter(3), mean=(torch.randn(3),), var=(torch.rand(3) + 0.5,),
            scale=parameter(3), shift=parameter(3), v=parameter(3, 2, 2), out=lin(8, 2),
        ),  # fmt: skip
        (2, 4),
    ),
    "layers as functions, two dimensions": (
        lambda: Forward(in_two_dimensions, w=parameter(2, 1, 2, 2), c=parameter(2), v=parameter(2, 1, 2, 2), out=lin(9, 2)),
        (1, 3, 3),
    ),
    "layers as functions, three dimensions": (
        lambda: Forward(in_three_dimensions, w=parameter(2, 1, 2, 2, 2), v=parameter(2, 1, 2, 3, 3), out=lin(4, 2)),
        (1, 2, 2, 2),
    ),
    "products as functions": (
        lambda: Forward(
            products, w=parameter(3, 5), c=parameter(5), u=parameter(5, 4), v=parameter(4, 3), d=parameter(3), out=lin(3, 2)
        ),
        (3,),
    ),
    "patches as columns": (lambda: Forward(patches, a=conv(1, 1, 3, padding=1), b=conv(1, 4, 2), out=lin(16, 2)), (1, 3, 3)),
    "largest of pairs": (lambda: Forward(largest_of_pairs, a=lin(3, 8), out=lin(40, 2)), (3,)),
    "modules of one dimension": (
        lambda: nn.Sequential(
            nn.ReplicationPad1d(1),
            nn.Conv1d(1, 2, 2),
            nn.CircularPad1d((1, 0)),
            nn.ReLU(),
            nn.Dropout1d(),
            nn.ConstantPad1d((0, 1), 0.3),
            nn.AvgPool1d(2),
            nn.ConvTranspose1d(2, 2, 2, stride=2, padding=1),
            nn.ReflectionPad1d((0, 1)),
            nn.InstanceNorm1d(2, track_running_stats=True),
            nn.ZeroPad1d((1, 0)),
            nn.AdaptiveMaxPool1d(3),
            nn.Flatten(),
            lin(6, 2),
        ),
        (1, 4),
    ),
    "modules of two dimensions": (
        lambda: nn.Sequential(
            nn.ReplicationPad2d((1, 0, 0, 1)),
            conv(1, 4, 2),
            nn.SyncBatchNorm(4),
            nn.ReLU(),
            nn.ChannelShuffle(2),
            nn.CircularPad2d((0, 1, 0, 1)),
            nn.Dropout2d(),
            nn.PixelUnshuffle(2),
            conv(16, 1, 1),
            nn.UpsamplingNearest2d(scale_factor=2),
            nn.MaxPool2d((1, 2)),
            nn.UpsamplingBilinear2d(size=(2, 3)),
            nn.AdaptiveMaxPool2d((1, 3)),
            nn.Flatten(),
            lin(3, 2),
        ),
        (1, 3, 3),
    ),
    "columns by modules": (
        lambda: nn.Sequential(
            conv(1, 2, 1), nn.Unfold(2), nn.Unflatten(1, (2, 4)), nn.ReLU(), nn.Flatten(1, 2), nn.Fold((3, 3), 2), nn.ReLU(),
            nn.Flatten(), lin(18, 2),
        ),
        (1, 3, 3),
    ),
    "modules of three dimensions": (
        lambda: nn.Sequential(
            nn.ReplicationPad3d((1, 0, 0, 0, 0, 0)),
            nn.Conv3d(1, 2, 2),
            nn.BatchNorm3d(2),
            nn.ReLU(),
            nn.Dropout3d(),
            nn.CircularPad3d((0, 1, 0, 0, 0, 0)),
            nn.MaxPool3d((1, 1, 2), stride=1),
            nn.ConvTranspose3d(2, 1, (2, 2, 1)),
            nn.InstanceNorm3d(1, affine=True, track_running_stats=True),
            nn.ReflectionPad3d((0, 0, 0, 0, 1, 0)),
            nn.ReLU(),
            nn.ConstantPad3d((1, 0, 0, 0, 0, 0), -0.2),
            nn.AdaptiveMaxPool3d((3, 2, 2)),
            nn.ZeroPad3d((0, 0, 0, 1, 0, 0)),
            nn.AdaptiveAvgPool3d((1, 3, 1)),
            nn.Flatten(),
            lin(3, 2),
        ),
        (1, 2, 2, 2),
    ),
    "exported": (lambda: exported(nn.Sequential(conv(1, 2, 2), nn.ReLU6(), nn.Flatten(), lin(18, 2)), (1, 4, 4)), (1, 4, 4)),
    "exported and taken apart": (
        lambda: exported(
            nn.Sequential(
                conv(1, 2, 2), nn.BatchNorm2d(2), nn.LeakyReLU(0.1), nn.AvgPool2d(2), nn.Flatten(), lin(2, 3), nn.Hardtanh()
            ),
            (1, 3, 3),
            apart=True,
        ),
        (1, 3, 3),
    ),
}
