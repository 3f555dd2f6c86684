"""What a user can do something about: one clear line, no traceback, an exit code of its own."""

from __future__ import annotations

import re


class JobError(Exception):
    """The job cannot go on, and the text says why and what to do."""

    exit_code = 1

    @classmethod
    def not_committed(cls, batch: str, problem: Exception) -> JobError:
        return cls(
            f"batch {batch} could not be committed: {first_line(problem)}; nothing was published. "
            "Put right what is named here (a full disk, rights, the network), then run the step again"
        )


class WrongUsage(JobError):
    """The command was given something it cannot take."""

    exit_code = 2


def first_line(problem: object) -> str:
    """What went wrong, without the trace that engines print below it."""
    # delta-rs prints each cause on a line of its own, behind a coloured arrow; the last says most
    text = re.sub(r"\s*\n\s*(?:\x1b\[\d+m)?↳(?:\x1b\[\d+m)?\s*", ": ", str(problem))
    # some exceptions say nothing but what they are, such as a bare AssertionError
    return next((line.strip() for line in text.splitlines() if line.strip()), type(problem).__name__)


def mask_line(problem: object) -> str:
    """The first line, without the values that it quotes: one can be somebody's id."""
    return re.sub(r"'[^']*'", "'…'", first_line(problem))
