"""Loops that numba compiles, each when it is first called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numba


def compile_kernel(fastmath: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator. What it compiles lets go of the interpreter's lock.

    Compiled code is kept on disk where there is a folder beside the source: inside a zip, as on a cluster, there
    is none, and each worker compiles for about a second.

    Args:
        fastmath: lets machines round otherwise than each other; where all must agree, it is not for use.
    """

    njit: Callable[..., Any] = partial(numba.njit, fastmath=fastmath, nogil=True, error_model="numpy")

    def compile_(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            compiled: Callable[..., Any] = njit(cache=True)(function)
        except RuntimeError:
            compiled = njit()(function)
        return compiled

    return compile_
