"""A measurement in a process of its own, so that none finds a JVM or caches that another has warmed up."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run_apart(file: str, *arguments: str) -> Any:
    """What `file --run ARGUMENTS` prints last, as JSON; what it prints before is passed on."""
    command = [sys.executable, file, "--run", *arguments]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    *lines, found = printed.splitlines()
    print("\n".join(f"    {line}" for line in lines), flush=True)
    return json.loads(found)
