"""Seconds by label, of blocks and of functions where they are called."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

Times = dict[str, list[float]]


@contextmanager
def stopwatch(times: Times, label: str) -> Iterator[None]:
    """Adds the seconds of the block, if it ends well."""
    start = time.perf_counter()
    yield
    times.setdefault(label, []).append(time.perf_counter() - start)


@contextmanager
def time_functions(parts: Mapping[str, tuple[ModuleType, str]], times: Times) -> Iterator[None]:
    """Adds the seconds of every call of a module's functions, by label, until the block ends."""
    originals = {label: getattr(module, name) for label, (module, name) in parts.items()}
    for label, (module, name) in parts.items():
        setattr(module, name, _add_stopwatch(originals[label], times, label))
    try:
        yield
    finally:
        for label, (module, name) in parts.items():
            setattr(module, name, originals[label])


def _add_stopwatch(function: Callable[..., Any], times: Times, label: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with stopwatch(times, label):
            return function(*args, **kwargs)

    return wrapper
