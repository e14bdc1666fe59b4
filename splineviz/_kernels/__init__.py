"""Compiled loops on plain arrays, one noun per file. Kernels never validate and never see a class.

Arrays are C-contiguous; coordinates float64, ids int32. Ragged data is flat arrays plus offsets.
Kernels release the interpreter lock, so threads run them side by side, and are cached on disk.
"""
