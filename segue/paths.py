"""Paths as people type them."""

from __future__ import annotations

import os


def make_absolute(path: str | os.PathLike[str]) -> str:
    """A path that means the same whatever the working folder is or becomes."""
    text = os.fspath(path)
    return text.rstrip("/") if "://" in text else os.path.abspath(os.path.expanduser(text))
