"""Outputs: a directory of results, the run or command it belongs to, and which of its files may be replaced.
Here too: what a folder was made by, in words; results and pictures of ours told from those of others, and removed; and the
names that a film is written to.

    out/manifest.json    of: what kind of results of which runs; writes: names that splineviz has said it will write here
    out/jobs.json        the same of version 0.1, whose manifest came last

    nothing there, or empty ----------------------------> ours from now on
    holds a mark (above), of the same runs -------------> ours; a name that is new to the mark must not be there yet
    holds a mark of other runs, or of another kind -----> refused
    holds anything else --------------------------------> refused, by name

Marks are sealed by a digest of themselves. Where both are damaged or gone, a sealed row or a picture with our note shows
that the directory is ours. Folders of results and runs that splineviz wrote do not count as anything else, so results may
lie beside their run. Nothing is ever written through a link inside the directory. This file knows no runs and no jobs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from splineviz.errors import OutputError
from splineviz.storage import files

JOBS, MANIFEST, RUN = "jobs.json", "manifest.json", "run.json"
FORMAT = 1
MEASURES = (JOBS, MANIFEST, "measures.csv", "rows", "partitions", "samples", "churn", "failures", "running")
"""What measuring the checkpoints of one run writes."""
SWEEP = (*MEASURES, "sweep.csv")
TOUR = (MANIFEST, "rows", "partitions", "measures.csv")
FRAME = re.compile(r"(step-\d{10,}(-\d{10,}-\d{3,}-of-\d{3,})?|view-\d{5,})\.png")
"""Names of pictures of a film."""
SPARED = {".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"}
"""What file managers and notebooks put into every folder that was looked at."""
SHOWN = 4
"""Most strangers that a message names."""


def what_is(folder: Path) -> str:
    """What splineviz left in a folder, in words for a message; "" where it is nothing that can be told."""
    if (folder / RUN).is_file():
        return "a training run"
    return "results that splineviz made of a run" if (folder / JOBS).is_file() or (folder / MANIFEST).is_file() else ""


def enter(folder: Path, kind: str, runs: Sequence[str], writes: Iterable[str], *, same: bool = False) -> None:
    """Make a directory ours, or see that it is, before anything is written to it.

    kind: of results, in a word or two; those of one kind and the same runs may be made again or added to. runs: their
    absolute paths. writes: names at the top of the directory that will be written. same: the results are known to be those
    that are there already, wherever the runs lie by now.
    Raises OutputError when the directory holds anything that splineviz did not write, results of other runs or of another
    kind, a link where something is to be written, or is a file.
    """
    writes = sorted(set(writes))
    names = list(writes)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: expected a folder for results, got a file; choose another --out.")
    if links := [name for name in names if (folder / name).is_symlink()]:
        raise OutputError(
            f"{folder}: expected to write {', '.join(links[:SHOWN])} there itself, got a link, through which nothing is "
            "written; remove it, or choose another --out."
        )
    said = _said(folder)
    if begun := said is None:
        if (strange := strangers(folder, names)) and _said(folder) is None:
            shown = ", ".join(strange[:SHOWN]) + (f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else "")
            raise OutputError(
                f"{folder}: expected an empty folder or one that splineviz wrote, got one that holds {shown}; nothing of it "
                "is touched: choose another --out."
            )
        said = {"kind": kind, "runs": list(runs), "writes": []}
    _compare(folder, said, kind, runs, same)
    known = said["writes"]
    taken = [] if known is None else [name for name in names if name not in known and not _is_free(folder / name)]
    if taken and not (begun and _said(folder)):
        raise OutputError(
            f"{folder}: expected to be the first to write {', '.join(taken[:SHOWN])} there, got what splineviz did not "
            "write; move it away, or choose another --out."
        )
    if known is None:  # of version 0.1, which took all for its own
        names += [path.name for path in files.entries(folder) if not path.is_symlink()]
    try:
        if not taken:
            _declare(folder, kind, runs, names, new=begun and not os.path.lexists(folder / MANIFEST))
            return
    except FileExistsError:
        pass
    enter(folder, kind, runs, writes, same=same)  # another process has made it its own since this one looked


def strangers(folder: Path, writes: Iterable[str] = ()) -> list[str]:
    """Names of what is in a directory without a mark and was not written by splineviz, as far as that can be seen.

    writes: names that are to be written, so that nothing may be there under them.
    """
    return [
        path.name
        for path in files.entries(folder)
        if path.name not in SPARED
        and not (files.is_temporary(path.name) and path.name.startswith((f".{MANIFEST}.", f".{JOBS}.")))
        and (path.name in writes and not _is_free(path) or not _is_ours(path))
    ]


def sealed(path: Path) -> dict[str, Any] | None:
    """What a sealed file says, None when there is none, or a byte of it has changed. Links are not followed."""
    try:
        return files.read_sealed(path) if files.is_file(path) else None
    except (OSError, ValueError):
        return None


def is_picture_of_ours(path: Path) -> bool:
    """Whether a picture (.png, .pdf, .svg) or page (.html) carries the note or title that splineviz gives its own."""
    try:
        if not files.is_file(path):
            return False
        with open(path, "rb") as stream:
            content = stream.read(1 << 16)
            stream.seek(max(path.stat().st_size - (1 << 16), 0))
            content += stream.read()
    except OSError:
        return False
    marks = {".png": b"tEXtsplineviz\0", ".pdf": b"splineviz", ".svg": b"splineviz", ".html": b": linear regions</title>"}
    return path.suffix in marks and marks[path.suffix] in content


def remove_results(out: Path, name: str) -> None:
    """Remove what a job left in a directory that is ours: row, partition, churn, note of failure and frame.

    Each only if it carries our seal or note, a partition if the row vouches for it; nothing through a link.
    """
    row = out / "rows" / f"{name}.json"
    partition, said = out / "partitions" / f"{name}.npz", sealed(row)
    if said is not None and files.is_folder(partition.parent) and files.is_file(partition):
        if files.digest_of_file(partition) == said.get("partition"):
            partition.unlink()
    for path in (row, out / "churn" / f"{name}.json", out / "failures" / f"{name}.json"):
        if files.is_folder(path.parent) and sealed(path) is not None:
            path.unlink()
    frame = out / "frames" / f"{name}.png"
    if files.is_folder(frame.parent) and is_picture_of_ours(frame):
        frame.unlink()


def remove_pictures(folder: Path, *, keep: Iterable[Path]) -> None:
    """Remove pictures of ours, but for those named, from a folder that is ours and no link; others stay."""
    if files.is_folder(folder):
        for path in set(files.entries(folder)) - set(keep):
            if FRAME.fullmatch(path.name) and is_picture_of_ours(path):
                path.unlink()


def film(formats: Iterable[str]) -> list[str]:
    """Names that a film in these formats is written to, beside its measures."""
    return ["frames", "poster.png", "animation.vtt", "animation.txt", *(f"animation.{name}" for name in formats)]


# ---- marks -----------------------------------------------------------------------------------------------


def _said(folder: Path) -> dict[str, Any] | None:
    """kind, runs and writes of a directory that is ours, each None where it does not say; None when it is not ours."""
    manifest, jobs = sealed(folder / MANIFEST), sealed(folder / JOBS)
    if manifest is not None and isinstance(of := manifest.get("of"), Mapping) and isinstance(of.get("writes"), list):
        listed = manifest.get("files")
        known = {str(name).split("/")[0] for name in (listed if isinstance(listed, Mapping) else ())}
        runs = of.get("runs") if isinstance(of.get("runs"), list) else None
        return {"kind": of.get("kind"), "runs": runs, "writes": known | {str(name) for name in of["writes"]}}
    if jobs is not None:  # of version 0.1
        runs = jobs.get("runs")
        paths = [run.get("path") for run in runs.values() if isinstance(run, Mapping)] if isinstance(runs, Mapping) else None
        return {"kind": "sweep" if jobs.get("named") == "key" else "run", "runs": paths, "writes": None}
    if manifest is not None or any(sealed(path) is not None for path in files.entries(folder / "rows")):
        return {"kind": None, "runs": None, "writes": None}
    if is_picture_of_ours(folder / "poster.png"):
        return {"kind": None, "runs": None, "writes": None}
    return None


def _compare(folder: Path, said: Mapping[str, Any], kind: str, runs: Sequence[str], same: bool) -> None:
    """Raises OutputError unless what is there is of this kind and these runs, as far as it says."""
    another = f"choose another --out, such as {folder.name or 'out'}-{Path(runs[0]).name if runs else '2'}, or delete it"
    if said["kind"] is not None and said["kind"] != kind:
        raise OutputError(f"{folder}: expected a folder for results of a {kind}, got one with those of a {said['kind']}; "
                          f"{another}.")  # fmt: skip
    if said["runs"] is None or same:
        return
    before = [str(run) for run in said["runs"]]
    fits = set(before) <= set(runs) if kind == "sweep" else set(before) == set(runs)
    if not fits:
        raise OutputError(
            f"{folder}: expected a folder for results of {', '.join(runs)}, got one with those of {', '.join(before)}, "
            f"which would be replaced; {another}."
        )


def _declare(folder: Path, kind: str, runs: Sequence[str], names: Iterable[str], *, new: bool) -> None:
    """Say in the manifest what will be written, before it is. new: raise FileExistsError where there is one by now."""
    folder.mkdir(parents=True, exist_ok=True)
    old = sealed(folder / MANIFEST) or {"format": FORMAT, "options": {}, "files": {}}
    of = old.get("of")
    before = of.get("writes") if isinstance(of, Mapping) else None
    known = set(map(str, before)) if isinstance(before, list) else set()
    said = {"kind": kind, "runs": sorted(runs), "writes": sorted(known | set(names))}
    if said != of:
        files.write_sealed(folder / MANIFEST, {**old, "of": said}, new=new)


def _is_free(path: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    return not os.path.lexists(path) or (files.is_folder(path) and not files.entries(path))


def _is_ours(path: Path, depth: int = 2) -> bool:
    """Whether it is a folder of a run or of results, or one that holds nothing else."""
    if not files.is_folder(path):
        return False
    if sealed(path / JOBS) is not None or sealed(path / MANIFEST) is not None or _is_run(path):
        return True
    inside = files.entries(path)
    return depth > 0 and bool(inside) and all(_is_ours(one, depth - 1) for one in inside)


def _is_run(path: Path) -> bool:
    return files.is_file(path / RUN) and files.is_file(path / "samples.npz")
