"""Loops that measure, paint or pack what others made: a finished complex, or neighbourhoods of a network that is sampled.

None of them is needed to find regions, and none knows another. How kernels are written: see `_kernels`.
"""
