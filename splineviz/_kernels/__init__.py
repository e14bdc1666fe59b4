"""Compiled loops on plain arrays, one noun per file. Kernels never validate and never see a class.

Here are those that find regions: cutting, sewing, ordering, merging, and what the certificate reads. `measuring` holds those
that measure or paint what was found.

Arrays are C-contiguous; coordinates float64, ids int32. Ragged data is flat arrays plus offsets.
Kernels release the interpreter lock, so threads run them side by side, and are cached on disk.
"""
