"""Reading a Delta log in a process that was forked, as torch's loaders fork theirs.

delta-rs works with threads, which a fork does not copy, and panics without them. What needs it is done there by a new
process, which takes half a second; a table that was opened before the fork needs none.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from segue.errors import SegueError, first_line

Result = TypeVar("Result")

# Without pandas it takes a fifth of the time: seconds, where a loader starts many workers at once.
_NEW_PROCESS = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from segue.pandas_import import leave_out_pandas
leave_out_pandas()
function, arguments = pickle.load(sys.stdin.buffer)
try:
    result = True, function(*arguments)
except Exception as problem:
    if not hasattr(problem, "exit_code"):
        raise
    result = False, problem
sys.stdout.buffer.write(pickle.dumps(result))
"""
# The process that used delta-rs first, with this module's copy of it.
_owner: int | None = None


def note_use() -> None:
    """Before any use of delta-rs: whatever is forked of this process from now on cannot use it."""
    global _owner
    _owner = _owner or os.getpid()


def is_forked() -> bool:
    """Whether delta-rs was used in the process that this one was forked of."""
    return _owner not in (None, os.getpid())


def run_where_possible(function: Callable[..., Result], *arguments: Any) -> Result:
    """The result of a function that uses delta-rs; it, the arguments and the result can be pickled."""
    if not is_forked():
        return function(*arguments)
    # the function is found by its name there, so the folders of modules come first
    message = pickle.dumps(sys.path) + pickle.dumps((function, arguments))
    done = subprocess.run(
        [sys.executable, "-c", _NEW_PROCESS], input=message, capture_output=True, check=False
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise SegueError(
            f"a table cannot be opened in a process that was forked: {first_line(*last or [''])}",
            "open it before the fork, or start workers by spawn",
        )
    is_done, result = pickle.loads(done.stdout)
    if not is_done:
        raise result
    opened: Result = result
    return opened
