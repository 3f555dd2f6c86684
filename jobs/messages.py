"""What jobs say: by `logging`, to the screen and to a file of the root, there with the time."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from jobs.progress import print_line
from jobs.publishing.warehouse import Warehouse

LOG = logging.getLogger("segue.jobs")


class _Screen(logging.Handler):
    """Text for whoever waits, as it is; what is wrong goes to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        print_line(record.getMessage(), sys.stderr if record.levelno >= logging.WARNING else sys.stdout)


class _LogFile(logging.FileHandler):
    """Made with its first line: a job that only reads may not be allowed to write."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A full disk must not end a job over a line of its log."""


def log_to(warehouse: Warehouse) -> None:
    """Sends messages to the screen and, where the root is a folder, to `logs/segue.log` there."""
    LOG.setLevel(logging.INFO)
    if not any(isinstance(handler, _Screen) for handler in LOG.handlers):
        LOG.addHandler(_Screen())
    path = None if warehouse.remote else Path(warehouse.path("logs", "segue.log")).absolute()
    files = [handler for handler in LOG.handlers if isinstance(handler, _LogFile)]
    if path and any(handler.baseFilename == str(path) for handler in files):
        return
    for handler in files:  # of another root
        LOG.removeHandler(handler)
        handler.close()
    if path:
        LOG.addHandler(_new_file(path))


def _new_file(path: Path) -> _LogFile:
    handler = _LogFile(path, delay=True)
    lines = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
    lines.converter = time.gmtime
    handler.setFormatter(lines)
    return handler
