"""What tests of jobs, engines and sweeps share."""

from __future__ import annotations

from pathlib import Path

from splineviz.metrics.options import LCOptions

QUICK = LCOptions(num_vectors=2, points=5)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: when it was written, and what is in it."""
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def exact(row: dict[str, float]) -> dict[str, str]:
    """A row to the last bit, for comparing: NaN equals NaN."""
    return {name: repr(float(value)) for name, value in row.items()}
