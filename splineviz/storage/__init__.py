"""Bytes on disk: files that are whole or absent, locks, arrays, what made a result, numbers that are kept, remote copies.

Knows nothing of networks, partitions or pictures.
"""
