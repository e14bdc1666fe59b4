"""What all tests share: no display, no time limits on single examples, the explorer's fixtures, and folders on file systems
of their own, between which nothing can be moved.
"""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from explorers import browser, folder, opened_page, page, view  # noqa: F401  # fixtures
from file_systems import one_for_each_folder
from hypothesis import HealthCheck, settings

# Compilation and busy cores make single examples slow at random: a deadline would only add noise.
settings.register_profile("splineviz", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("splineviz")


@pytest.fixture(scope="session", autouse=True)
def _a_file_system_for_each_folder():
    """Temporary files lie beside their targets: the output may be on another disk than all else."""
    with one_for_each_folder():
        yield
