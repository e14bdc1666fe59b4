"""The pictures of the gallery: runs every script of gallery/ in full and keeps what it leaves, small.

    python docs/pictures.py [NAME ...]        scripts by name (default: all); half an hour

A picture that a script NAME.py leaves as NAME.png or NAME.webp goes to gallery/pictures/, as WebP of less than 300 kB.
Look at each before you keep it. SPLINEVIZ_RUN spares two of them a training of minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

GALLERY = Path(__file__).parents[1] / "gallery"
MOST_BYTES = 300_000


def keep(picture: Path, target: Path) -> None:
    """A WebP of at most MOST_BYTES: as sharp as it may be first, then smaller."""
    if picture.suffix == ".webp":
        target.write_bytes(picture.read_bytes())
        return
    image = Image.open(picture).convert("RGB")
    for share in (1.0, 0.85, 0.7, 0.55):
        smaller = image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.LANCZOS)
        for quality in (90, 80, 70, 60):
            smaller.save(target, quality=quality, method=6)
            if target.stat().st_size <= MOST_BYTES:
                return


def main() -> None:
    """Run the scripts that are named, or all."""
    names = sys.argv[1:] or sorted(path.stem for path in GALLERY.glob("*.py"))
    (GALLERY / "pictures").mkdir(exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            surroundings = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}  # sums in one order
            subprocess.run([sys.executable, GALLERY / f"{name}.py"], check=True, cwd=folder, env=surroundings)
            left = {path.suffix: path for path in Path(folder).rglob(f"{name}.*")}
            picture = left.get(".webp", left.get(".png"))  # a clip rather than its picture
            if picture is not None:
                target = GALLERY / "pictures" / f"{name}.webp"
                keep(picture, target)
                print(f"{target.name}: {target.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
