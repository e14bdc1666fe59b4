"""Every gallery script runs from start to end, quickly, and leaves the pictures it promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "gallery").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_a_gallery_script_runs(script: Path, tmp_path: Path) -> None:
    surroundings = {**os.environ, "SPLINEVIZ_QUICK": "1", "MPLBACKEND": "Agg"}
    subprocess.run([sys.executable, str(script)], check=True, cwd=tmp_path, env=surroundings, timeout=300)
    pictures = [path for path in tmp_path.rglob("*.png") if path.stat().st_size > 0]
    assert pictures
