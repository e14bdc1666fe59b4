"""What all tests share: no display, and no time limits on single examples."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import HealthCheck, settings

# Compilation and busy cores make single examples slow at random: a deadline would only add noise.
settings.register_profile("splineviz", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("splineviz")
