"""Runs on disk: written by a training loop, read again, or made of somebody else's checkpoints; samples and recipes."""
