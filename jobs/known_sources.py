"""The sources that come with Segue: one TOML file each in `jobs/adapters`, known by its name."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

SUFFIX = ".toml"


@cache
def list_known_sources() -> tuple[str, ...]:
    """Their names, which `--source` takes."""
    # not by a path: on a cluster the package is in an archive
    files = (resources.files("jobs") / "adapters").iterdir()
    return tuple(sorted(file.name.removesuffix(SUFFIX) for file in files if file.name.endswith(SUFFIX)))


def read_known_source(name: str) -> dict[str, Any]:
    """What its file says."""
    file = resources.files("jobs") / "adapters" / f"{name}{SUFFIX}"
    return tomllib.loads(file.read_text(encoding="utf-8"))
