"""pyarrow.dataset imports pandas wherever it is installed: two thirds of what a look-up from a shell takes."""

from __future__ import annotations

import sys
from typing import Any


class _WithoutPandas:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def leave_out_pandas() -> None:
    """For a process that needs none of it: pyarrow looks for it once, and has no `to_pandas` where it found none."""
    sys.meta_path.insert(0, _WithoutPandas())
