"""The parser of every command: argparse, with errors that a terminal can show."""

from __future__ import annotations

import argparse
from typing import NoReturn

from segue.failures import shorten
from segue.show import escape


class CommandParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # it repeats what was typed
        super().error(shorten(escape(message).replace("\n", " ")))
