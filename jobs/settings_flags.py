"""Settings from the command line: a flag for each field of a model, in the model's own words."""

from __future__ import annotations

import argparse
from datetime import date
from typing import Any, Literal, TypeVar, get_args, get_origin

from features.settings import Settings, SettingsError
from jobs.arguments import parse_day
from jobs.errors import WrongUsage

Model = TypeVar("Model", bound=Settings)


def add_flags(parser: argparse.ArgumentParser, settings: type[Settings]) -> None:
    """A flag `--some-name` for each field `some_name`, with its default, type and description."""
    for name, field in settings.model_fields.items():
        kind: Any = field.annotation
        options: dict[str, Any] = {"default": field.default, "help": f"{field.description} (%(default)s)"}
        if kind is bool:
            options |= {"action": argparse.BooleanOptionalAction, "help": field.description}
        elif get_origin(kind) is Literal:
            options["choices"] = get_args(kind)
        else:
            options["type"] = parse_day if kind is date else kind
        parser.add_argument("--" + name.replace("_", "-"), **options)


def from_flags(args: argparse.Namespace, settings: type[Model]) -> Model:
    """The settings that the flags of `add_flags` gave.

    Raises:
        WrongUsage: some cannot be used.
    """
    try:
        return settings(**{name: getattr(args, name) for name in settings.model_fields})
    except SettingsError as error:
        raise WrongUsage(str(error)) from None
