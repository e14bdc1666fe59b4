"""Plane, partition and decision boundary as plain arrays, and what must hold for them. Knows no torch and no drawing."""
