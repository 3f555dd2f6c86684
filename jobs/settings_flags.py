"""Settings from the command line: a flag for each field of a model, in the model's own words."""

from __future__ import annotations

import argparse
from collections.abc import Container, Mapping
from datetime import date
from typing import Any, Literal, TypeVar, get_args, get_origin

from features.settings import SettingsError, SettingsModel
from jobs.arguments import parse_day
from jobs.errors import WrongUsage

Model = TypeVar("Model", bound=SettingsModel)


def add_flags(
    parser: argparse.ArgumentParser,
    settings: type[SettingsModel],
    but: Container[str] = (),
    unset: Mapping[str, str] | None = None,
) -> None:
    """A flag `--some-name` for each field `some_name`, with its default, type and description.

    Args:
        but: fields without a flag.
        unset: by field whose flag has no default, what help says of it.
    """
    for name, field in settings.model_fields.items():
        if name in but:
            continue
        kind: Any = field.annotation
        # argparse formats help texts with %
        meaning = (field.description or "").replace("%", "%%")
        options: dict[str, Any] = {"default": field.default, "help": f"{meaning} (%(default)s)"}
        if unset and name in unset:
            options = {"help": f"{meaning} ({unset[name]})"}
        if kind is bool:
            options |= {"action": argparse.BooleanOptionalAction, "help": meaning}
        elif get_origin(kind) is Literal:
            options["choices"] = get_args(kind)
        else:
            options["type"] = parse_day if kind is date else kind
        parser.add_argument("--" + name.replace("_", "-"), **options)


def from_flags(args: argparse.Namespace, settings: type[Model], **others: Any) -> Model:
    """The settings that the flags of `add_flags` gave; the default where a flag has no value.

    Raises:
        WrongUsage: some cannot be used.
    """
    # a flag that was left out is None, and then the model's own default holds
    values = {name: getattr(args, name, None) for name in settings.model_fields} | others
    try:
        return settings(**{name: value for name, value in values.items() if value is not None})
    except SettingsError as error:
        raise WrongUsage(str(error)) from None
