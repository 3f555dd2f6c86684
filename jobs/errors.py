"""What a user can do something about: one clear line, no traceback, an exit code of its own."""

from __future__ import annotations

import re

from segue.errors import first_line as first_line


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


def mask_line(problem: object) -> str:
    """The first line, without the values that it quotes: one can be somebody's id."""
    return re.sub(r"'[^']*'", "'…'", first_line(problem))
