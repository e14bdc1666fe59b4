"""Churn: how much of the window went to other activation patterns between one checkpoint and the next.

    out/churn/step-0000000100.json      the share, with the keys of both results; named as the later one

It needs two results, which two processes may make in either order: each looks for its neighbours when its own is written
(`settle`), so the one that ends later finds both. What is missing after all, and the share since another checkpoint than the
neighbour (which failed, say), is made when it is asked for (`between`). What the share means is said by
`measures.pattern_churn`. This file draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from splineviz.errors import SplinevizError
from splineviz.geometry.partition import Partition
from splineviz.metrics.measures import Patterns, pattern_churn
from splineviz.storage import files

FOLDER = "churn"

_latest: dict[Path, tuple[Named, Patterns]] = {}
"""What this process settled last, by its folder, one alone: the next one's neighbour, which need not be read again."""


@dataclass(frozen=True)
class Named:
    """A result as its neighbours know it: the name of its files, and its key."""

    name: str
    key: str


def between(out: Path, before: Named, after: Named, load: Callable[[Named], Partition | Patterns]) -> float:
    """The churn between two results: as it is kept, or of the partitions that `load` returns, and then it is kept.

    Raises what `load` and `pattern_churn` raise, and OSError when it cannot be written.
    """
    path, keys = out / FOLDER / f"{after.name}.json", [before.key, after.key]
    with suppress(OSError, ValueError, KeyError, TypeError):  # absent or torn
        kept = files.read_sealed(path)
        if kept["keys"] == keys:
            return float(kept["churn"])
    share = pattern_churn(load(before), load(after))
    files.write_sealed(path, {"keys": keys, "churn": share})
    return share


def settle(out: Path, mine: Named, partition: Partition, before: Named | None, after: Named | None) -> None:
    """Make the churn between a result that was just written and its neighbours, those that are done.

    What goes wrong here is no fault of the result: `between` meets it again when the share is asked for, and says so.
    """
    named, patterns = _latest.get(out, (None, None))

    def load(one: Named) -> Partition | Patterns:
        if one == named and patterns is not None:
            return patterns
        return partition if one == mine else Partition.load(out / "partitions" / f"{one.name}.npz")

    for one, other in ((before, mine), (mine, after)):
        with suppress(SplinevizError, OSError, ValueError, KeyError):
            if one is not None and other is not None:
                neighbour = one if other == mine else other
                if neighbour == named or _done(out, neighbour):
                    between(out, one, other, load)
    _latest.clear()
    _latest[out] = mine, Patterns.of(partition)


def _done(out: Path, one: Named) -> bool:
    """Whether a result lies on disk, whole. Raises OSError, ValueError and KeyError when it does not."""
    row = files.read_sealed(out / "rows" / f"{one.name}.json")
    return bool(row["key"] == one.key and files.digest_of_file(out / "partitions" / f"{one.name}.npz") == row["partition"])
