"""Loops that numba compiles, each when it is first called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numba


def compile_kernel(fastmath: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator. With `fastmath` machines may round otherwise than each other."""
    # without the interpreter's lock threads run side by side; a division by 0 gives Inf, as numpy's does
    njit: Callable[..., Any] = partial(numba.njit, fastmath=fastmath, nogil=True, error_model="numpy")

    def compile_(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            # on disk, beside the source; inside a zip, as on a cluster, there is no folder for it, numba
            # raises, and each worker compiles for about a second
            compiled: Callable[..., Any] = njit(cache=True)(function)
        except RuntimeError:
            compiled = njit()(function)
        return compiled

    return compile_
