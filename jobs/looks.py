"""Whether a step has anything to do, by running it up to where its work would begin."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from jobs import Step
from jobs.inputs import WorkToDo, look_only


def has_work(step: Step, arguments: Sequence[str]) -> bool:
    """Raises what the step raises before its work."""
    try:
        with look_only():
            import_module(step.module).main([*step.arguments, *arguments])
    except WorkToDo:
        return True
    return False
