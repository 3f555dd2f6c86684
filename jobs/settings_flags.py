"""Settings from the command line: a flag for each field of a model, in the model's own words."""

from __future__ import annotations

import argparse
from datetime import date
from typing import Any, TypeVar

from features.settings import Settings, SettingsError
from jobs.errors import WrongUsage
from jobs.job import parse_day

Model = TypeVar("Model", bound=Settings)


def add_flags(parser: argparse.ArgumentParser, settings: type[Settings]) -> None:
    """A flag `--some-name` for each field `some_name`, with its default, type and description."""
    for name, field in settings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        kind: Any = field.annotation
        if kind is bool:
            parser.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=field.default, help=field.description
            )
        else:
            parser.add_argument(
                flag,
                type=parse_day if kind is date else kind,
                default=field.default,
                help=f"{field.description} (%(default)s)",
            )


def from_flags(args: argparse.Namespace, settings: type[Model]) -> Model:
    """The settings that the flags of `add_flags` gave.

    Raises:
        WrongUsage: some cannot be used.
    """
    try:
        return settings(**{name: getattr(args, name) for name in settings.model_fields})
    except SettingsError as error:
        raise WrongUsage(str(error)) from None
