"""What jobs say: by `logging`, to the screen and to a file of the root, there with the time."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from jobs.progress import print_line
from jobs.publishing.warehouse import Warehouse
from segue.show import escape

LOG = logging.getLogger("segue.jobs")


class _Screen(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # looked up each time: tests and notebooks replace sys.stdout
        print_line(
            escape(record.getMessage()), sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        )


class _LogFile(logging.FileHandler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            # made with the first line: a job that only reads may not be allowed to write
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass  # a full disk must not end a job over a line of its log, nor fill the screen with traces of it


def log_to(warehouse: Warehouse) -> None:
    """Sends messages to the screen and, where the root is a folder, to `logs/segue.log` there."""
    LOG.setLevel(logging.INFO)
    # called by every job of a process, and the logger outlives them all
    if not any(isinstance(handler, _Screen) for handler in LOG.handlers):
        LOG.addHandler(_Screen())
    # object stores cannot append
    path = None if warehouse.remote else Path(warehouse.path("logs", "segue.log")).absolute()
    files = [handler for handler in LOG.handlers if isinstance(handler, _LogFile)]
    if path and any(handler.baseFilename == str(path) for handler in files):
        return
    for handler in files:  # of another root
        LOG.removeHandler(handler)
        handler.close()
    if path:
        lines = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
        # UTC, as all times in tables and records
        lines.converter = time.gmtime
        # a name of a file that is no UTF-8 would cost its line
        file = _LogFile(path, delay=True, encoding="utf-8", errors="backslashreplace")
        file.setFormatter(lines)
        LOG.addHandler(file)
