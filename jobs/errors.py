"""What a user can do something about: one clear line, no traceback, an exit code of its own."""

from __future__ import annotations


class JobError(Exception):
    """The job cannot go on, and the text says why and what to do."""

    exit_code = 1


class WrongUsage(JobError):
    """The command was given something it cannot take."""

    exit_code = 2
