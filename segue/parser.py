"""The parser of every command: argparse, with errors that a terminal can show, and `~` wherever a path is given."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Any, NoReturn

from segue.failures import shorten
from segue.show import escape

_VALUE_AT_HOME = re.compile(r"(--[a-z][a-z-]*=)(~.*)", re.DOTALL)


class CommandParser(argparse.ArgumentParser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        args = sys.argv[1:] if args is None else args
        return super().parse_known_args(list(map(_expand_home, args)), namespace)

    def error(self, message: str) -> NoReturn:
        # it repeats what was typed
        super().error(shorten(escape(message).replace("\n", " ")))


def _expand_home(argument: str) -> str:
    # a shell does so of `--root ~/data`, but not behind an equals sign
    match = _VALUE_AT_HOME.fullmatch(argument)
    return match[1] + os.path.expanduser(match[2]) if match else argument
