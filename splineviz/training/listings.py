"""Listings: the checkpoints of a foreign folder in order, each with its step; or a refusal that shows what was read.
Here too: some of the steps alone, and one file as a run of one checkpoint.

A step stands in the file, or in its name. Nothing is guessed: where names and files do not agree, or one name says several
things, the refusal is a table of what each file was read as, and names the flag that settles it:

    --files 'net_*.pt'            these files only
    --files 'net_*_{step}.pt'     these files, and the number that is the step; {epoch} likewise

Steps may count epochs; where iterations begin anew in each epoch, they count checkpoints (`unit` says so). This file knows
no networks.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from splineviz.errors import CheckpointError
from splineviz.storage import outputs
from splineviz.training import formats, state_files, step_names
from splineviz.training.conventions import AVERAGE, BEST, EMA, FIRST, LAST, NETWORK, OTHER, ROLES
from splineviz.training.places import Place, chosen, places
from splineviz.training.step_names import Reading

MOST_SHOWN = 24


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint: its step, its file, and the numbers that were recorded beside it (accuracies, losses).

    network: digest of the traced network that its weights belong to, where it is another than the run's first.
    """

    step: int
    path: Path
    metrics: Mapping[str, float] = field(default_factory=dict)
    network: str | None = None


@dataclass(frozen=True)
class Listing:
    """Checkpoints in order of their steps; what was passed over, each with its reason; and what a step counts.

    unit: "step", "epoch", or "checkpoint".
    """

    checkpoints: tuple[Checkpoint, ...]
    skipped: Mapping[str, str]
    unit: str = "step"


@dataclass(frozen=True)
class Seen:
    """One place, and what its name and its file say of its step."""

    place: Place
    reading: Reading
    step: int | None
    epoch: int | None

    @property
    def said(self) -> str:
        """What the file says, for a table."""
        parts = [f"{word} {n}" for word, n in (("step", self.step), ("epoch", self.epoch)) if n is not None]
        return ", ".join(parts) or "nothing"

    @property
    def named(self) -> str:
        """What the name says, for a table."""
        r = self.reading
        parts = [f"{word} {n}" for word, n in (("step", r.step), ("epoch", r.epoch)) if n is not None]
        alone = r.plain or (() if parts else r.weak)
        parts += [f"number{'s' * (len(alone) > 1)} {', '.join(map(str, alone))}"] if alone else []
        return ", ".join(parts) or "nothing"


class Doubt(Exception):
    """Why the steps of a folder cannot be told."""


def listing(folder: str | Path, files: str | None = None) -> Listing:
    """The checkpoints of a folder in order of their steps. files: a pattern, see the module's docstring.

    Raises CheckpointError when the folder is missing, holds none, or it is in doubt which step a file has.
    """
    folder = Path(folder)
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise CheckpointError(f"{folder}: expected a folder of checkpoints, got {got}.")
    skipped: dict[str, str] = {}
    if files is None:
        found, skipped = places(folder)
    else:
        found = chosen(folder, files)
    seen = []
    for place in found:
        one = _seen(place)
        number = one.reading.best
        if number is not None and number < 0:
            skipped[place.name] = f"step {number} lies before the training"
        else:
            seen.append(one)
    series, first = _series(folder, seen, skipped, everything=files is not None)
    if not series:
        raise _none(folder, skipped)
    try:
        steps, unit = _steps(series)
    except Doubt as doubt:
        raise _refusal(folder, series, str(doubt)) from None
    ordered = sorted(zip(steps, series, strict=True), key=lambda pair: pair[0])
    if first is not None and ordered[0][0] > 0:
        ordered.insert(0, (0, first))
        skipped.pop(first.place.name, None)
    _check_pairs(folder, ordered, series)
    return Listing(tuple(Checkpoint(step, one.place.path) for step, one in ordered), skipped, unit)


def of_steps(known: Sequence[Checkpoint], steps: Iterable[int]) -> tuple[Checkpoint, ...]:
    """The checkpoints of these steps alone. Raises CheckpointError for a step without one, and for no step."""
    wanted = {int(step) for step in steps}
    unknown = sorted(wanted - {c.step for c in known})
    if not wanted:
        raise CheckpointError("steps: expected at least one step of a checkpoint, got none; see splineviz info.")
    if unknown:
        near = min((c.step for c in known), key=lambda other: abs(other - unknown[0]))
        raise CheckpointError(
            f"step: expected the step of a checkpoint, got {', '.join(map(str, unknown))}; the nearest is {near}, "
            "see splineviz info."
        )
    return tuple(c for c in known if c.step in wanted)


def alone(path: Path) -> Listing:
    """One file as a run of one checkpoint; without a step in it or in its name it is that of step 0."""
    steps, unit = _alone(_seen(Place(path.name, path)))
    return Listing((Checkpoint(max(steps[0], 0), path),), {}, unit)


def _check_pairs(folder: Path, ordered: Sequence[tuple[int, Seen]], series: Sequence[Seen]) -> None:
    for (step, one), (other, two) in zip(ordered, ordered[1:], strict=False):
        if step == other:
            names = sorted((one.place.name, two.place.name))
            raise _refusal(folder, series, f"expected one file per step, got {names[0]} and {names[1]} both for step {step}")


def _seen(place: Place) -> Seen:
    if place.given:
        return Seen(place, Reading(place.given.get("step"), place.given.get("epoch")), None, None)
    step, epoch = _saved_at(place.path)
    return Seen(place, step_names.read(place.stem), step, epoch)


def _saved_at(path: Path) -> tuple[int | None, int | None]:
    try:
        state = path.stat()
    except OSError:
        return None, None
    return _kept(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4096)
def _kept(path: Path, changed: int, size: int) -> tuple[int | None, int | None]:
    """What a file says, read once as long as it does not change."""
    return state_files.saved_at(path)


# ---- which files belong together -----------------------------------------------------------------------------------


def _series(
    folder: Path, seen: Sequence[Seen], skipped: dict[str, str], *, everything: bool
) -> tuple[list[Seen], Seen | None]:
    """The files of the run itself, and one that was saved before the training began; all others are passed over."""
    if everything:
        return list(seen), None
    if len(seen) == 1 and (seen[0].place.name in HOLDERS and seen[0].reading.role == NETWORK):
        return list(seen), None  # the folder of one checkpoint
    told = {id(one) for one in seen if one.reading.best is not None or one.step is not None or one.epoch is not None}
    named = {id(one) for one in seen if one.reading.best is not None}
    for role in (NETWORK, LAST, EMA, BEST, AVERAGE):
        mine = [one for one in seen if one.reading.role == role and id(one) in told]
        if role == NETWORK and any(
            id(one) in named for one in mine
        ):  # a file without a number is a copy of one that has one
            mine = [one for one in mine if id(one) in named]
        if mine:
            break
    else:
        mine = []
    for one in seen:
        if one in mine:
            continue
        role = one.reading.role
        why = "no step in its name" if role == NETWORK else ROLES[role]
        skipped[one.place.name] = f"{why}; --files '{one.place.name}' takes it" if role not in (NETWORK, OTHER) else why
    firsts = [one for one in seen if one.reading.role == FIRST and one not in mine and not (one.step or one.epoch)]
    _of_one_run(folder, mine)
    kinds = {one.reading.identity for one in mine}
    if len(kinds) > 1 and any(id(one) in named for one in mine):
        _of_one_kind(folder, mine, kinds)
    return mine, firsts[0] if len(firsts) == 1 else None


HOLDERS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json",
           "diffusion_pytorch_model.safetensors", "lit_model.pth", "consolidated.00.pth")  # fmt: skip


def _of_one_run(folder: Path, mine: Sequence[Seen]) -> None:
    """Names with several values of a setting, such as seeds, are files of several runs; raises CheckpointError."""
    values: dict[str, set[str]] = {}
    for one in mine:
        for word, text in one.reading.settings:
            values.setdefault(word, set()).add(text)
    for word, found in values.items():
        if len(found) > 1:
            told = " and ".join(f"{word} {text}" for text in sorted(found)[:3])
            raise _refusal(folder, mine, f"expected the files of one run, got names with {told}")


def _of_one_kind(folder: Path, mine: Sequence[Seen], kinds: set[tuple[str, ...]]) -> None:
    """Names of several kinds are files of several runs or networks; raises CheckpointError."""
    by_step: dict[int | None, Seen] = {}
    why = ""
    for one in sorted(mine, key=lambda one: one.place.name):
        other = by_step.setdefault(one.reading.best, one)
        if other is not one and not why:
            why = f"expected one file per step, got {other.place.name} and {one.place.name} both for step {one.reading.best}"
    named = ", ".join(sorted({"-".join(kind) or "(no word)" for kind in kinds}))
    raise _refusal(folder, mine, why or f"expected the files of one network, got names of several kinds: {named}")


# ---- which step a file has -----------------------------------------------------------------------------------------


def _steps(series: Sequence[Seen]) -> tuple[list[int], str]:
    """The step of each file, and what it counts. Raises Doubt."""
    if len(series) == 1:
        return _alone(series[0])
    doubt: Doubt | None = None
    names: tuple[list[int], str] | None = None
    try:
        names = _by_names([one.reading for one in series])
    except Doubt as error:
        doubt = error
    stored = _by_files(series, names)
    if stored is not None:
        return stored
    if names is None:
        raise doubt or Doubt("expected a step in each name")
    return names


def _alone(one: Seen) -> tuple[list[int], str]:
    r = one.reading
    for number, unit in ((one.step, "step"), (r.step, "step"), (one.epoch, "epoch"), (r.epoch, "epoch"), (r.best, "step")):
        if number is not None:
            return [number], unit
    return [0], "step"


def _by_files(series: Sequence[Seen], names: tuple[list[int], str] | None) -> tuple[list[int], str] | None:
    """Steps that the files themselves say; None where the names say more. Raises Doubt."""
    steps, epochs = [one.step for one in series], [one.epoch for one in series]
    for values, unit in ((steps, "step"), (epochs, "epoch")):
        known = [value for value in values if value is not None]
        if not known:
            continue
        if (
            unit == "epoch"
            and names is not None
            and names[1] == "step"
            and any(one.reading.step is not None for one in series)
        ):
            return None  # iterations are finer than epochs
        if len(known) < len(values):
            if names is not None and all(n == v for n, v in zip(names[0], values, strict=True) if v is not None):
                return None
            raise Doubt(f"expected each file to say its {unit}, or none, got {len(known)} of {len(values)} that do")
        if len(set(known)) < len(known):
            if unit == "step" and len(set(epochs)) == len(epochs) and None not in epochs:
                continue
            if unit == "epoch" and names is not None and _same_order(names[0], known):
                return None  # several files an epoch, told apart by their names
            raise Doubt(f"expected files that each say another {unit}, got {unit} {_twice(known)} twice")
        if names is not None and not _same_order(names[0], known):
            raise Doubt("expected names and files in one order, got files that contradict their names")
        return known, unit
    return None


def _same_order(names: Sequence[int], values: Sequence[int]) -> bool:
    """Whether values never fall where the names' numbers rise."""
    pairs = sorted(zip(names, values, strict=True))
    distinct = len(set(names)) == len(names)
    return distinct and all(a[1] <= b[1] for a, b in zip(pairs, pairs[1:], strict=False))


def _twice(values: Sequence[int]) -> int:
    return next(value for value in values if values.count(value) > 1) if isinstance(values, list) else values[0]


def _by_names(readings: Sequence[Reading]) -> tuple[list[int], str]:
    """The steps that names say. Raises Doubt."""
    steps, epochs = [r.step for r in readings], [r.epoch for r in readings]
    if None not in steps:
        if None in epochs:
            return [step for step in steps if step is not None], "step"
        return _pairs([(e, s) for e, s in zip(epochs, steps, strict=True) if e is not None and s is not None])
    alone = step_names.series(readings)
    if all(step is None for step in steps) and None not in epochs:
        known = [epoch for epoch in epochs if epoch is not None]
        if len(set(known)) < len(known):
            within = step_names.series([replace(r, plain=r.behind, weak=()) for r in readings])
            if within is not None and None not in within:
                return _pairs([(e, n) for e, n in zip(known, within, strict=True) if n is not None])
        return known, "epoch"
    if any(step is not None for step in steps) or any(epoch is not None for epoch in epochs):
        raise Doubt("expected names that all count alike, got some by steps, by epochs or without either")
    if alone is None:
        raise Doubt("expected one number that differs from name to name, got several, or not the same number of them")
    if None in alone:
        raise Doubt("expected a step in each name, got some without")
    return [n for n in alone if n is not None], "step"


def _pairs(pairs: Sequence[tuple[int, int]]) -> tuple[list[int], str]:
    """Steps of (epoch, iteration): iterations where they go on from epoch to epoch, else epochs, else places in order."""
    ordered = sorted(pairs)
    if all(a[1] < b[1] for a, b in zip(ordered, ordered[1:], strict=False)):
        return [step for _, step in pairs], "step"
    if len({epoch for epoch, _ in pairs}) == len(pairs):
        return [epoch for epoch, _ in pairs], "epoch"
    if len(set(pairs)) < len(pairs):
        return [step for _, step in pairs], "step"  # two files with one name's numbers: refused as such
    return [ordered.index(pair) for pair in pairs], "checkpoint"


# ---- refusals ------------------------------------------------------------------------------------------------------


def _refusal(folder: Path, series: Sequence[Seen], why: str) -> CheckpointError:
    rows = [("file", "its name says", "it says itself")]
    shown = sorted(series, key=lambda one: one.place.name)
    rows += [(one.place.name, one.named, one.said) for one in shown[:MOST_SHOWN]]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    more = [f"  ... and {len(shown) - MOST_SHOWN} more"] if len(shown) > MOST_SHOWN else []
    text = "\n".join([*lines, *more])
    some, told = (_like(shown[0].place.name, number) for number in ("*", "{step}"))
    return CheckpointError(
        f"{folder}: {why}:\n{text}\nMove the files of other runs to folders of their own, choose files (--files '{some}', "
        f"files={some!r}), or say which number is the step: --files '{told}' ({{epoch}} where it counts epochs)."
    )


def _like(name: str, number: str) -> str:
    """A pattern like a name, with its last number left open."""
    stem = re.sub(r"\.(?:pth\.tar|[A-Za-z]\w*)$", "", name)
    end = name[len(stem) :]
    return re.sub(r"\d+(?!.*\d)", number, stem, count=1) + end


def _none(folder: Path, skipped: Mapping[str, str]) -> CheckpointError:
    if got := outputs.what_is(folder):
        return CheckpointError(f"{folder}: expected a run or a folder of checkpoints, got {got}; name the run itself.")
    said = f"; passed over {', '.join(f'{name} ({why})' for name, why in skipped.items())}" if skipped else ""
    there = [p for p in sorted(folder.rglob("*"))[:10_000] if formats.stays(folder, p) and p.is_file()]
    below = [p for p in there if formats.format_of(p) is not None]
    homes = [p.parent.parent if p.name in HOLDERS else p.parent for p in below]
    said_of = [step_names.read(p.parent.name if p.name in HOLDERS else p.stem).best for p in below]
    homes = [home for home, step in zip(homes, said_of, strict=True) if step is not None and home != folder]
    said += f"; look in {homes[0]}" if homes else ""
    lone = [name for name, why in skipped.items() if "pieces" not in why]
    said += f"; one file alone is named as such: {folder / lone[0]}" if len(lone) == 1 else ""
    listed = f"{', '.join(formats.SUFFIXES[:5])}, .safetensors or the like"
    return CheckpointError(f"{folder}: expected files {listed} with a step in their names, got none{said}.")
