"""Launcher: `python cli.py animate ckpts/` is `splineviz animate ckpts/` without the console script."""

from splineviz.__main__ import program

program()
