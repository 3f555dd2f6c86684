"""Settings as a model: each field has a type, a range, and a description that `--help` shows."""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo


class SettingsError(ValueError):
    """Settings that cannot be used; the text lists every fault, in one line."""


class SettingsModel(BaseModel):
    """Base of settings; `Field(default, ge=low, le=high, description=meaning)` declares one.

    Raises:
        SettingsError: once, with every setting that has the wrong type or is out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    # What a fault makes impossible, and the error that says so.
    refusal: ClassVar[str] = "settings cannot be used"
    error: ClassVar[type[SettingsError]] = SettingsError

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            faults = "; ".join(self._describe_fault(dict(fault)) for fault in error.errors())
            # without its cause: pydantic's own text has several lines to a fault, and an address of its website
            raise self.error(f"{self.refusal}: {faults}") from None

    def replace(self, **changes: Any) -> Self:
        """The same with other values, checked like any; `model_copy` checks nothing."""
        return type(self)(**(dict(self) | changes))

    @classmethod
    def _describe_fault(cls, fault: dict[str, Any]) -> str:
        name = ".".join(map(str, fault["loc"]))
        if fault["type"] == "value_error":  # raised by a validator of ours, which says it all
            return str(fault["ctx"]["error"])
        if fault["type"] == "missing":
            return f"{name} is missing"
        if fault["type"] == "extra_forbidden":
            return f"{name} is unknown, must be one of {', '.join(cls.model_fields)}"
        # a number that is none, such as NaN, is out of any range
        # of a part of a setting, such as one of a list, there is no range
        if name in cls.model_fields and (expected := describe_range(cls.model_fields[name])):
            return f"{name} is {fault['input']!r}, must be {expected}"
        return f"{name} is {fault['input']!r}: {fault['msg']}"


def describe_range(field: FieldInfo) -> str:
    """In words; empty for a field without limits."""
    if field.annotation is bool:
        return "True or False"
    if get_origin(field.annotation) is Literal:
        return " or ".join(map(str, get_args(field.annotation)))
    words = {}
    # pydantic keeps each limit as a rule of its own, and rules of other kinds beside them
    for rule, end in product(field.metadata, ("ge", "gt", "le")):
        if hasattr(rule, end):
            words[end] = _format_limit(getattr(rule, end))
    if "gt" in words:
        return f"above {words['gt']}"
    if len(words) == 2:
        return f"{words['ge']} to {words['le']}"
    return next((f"{word} or {'more' if end == 'ge' else 'less'}" for end, word in words.items()), "")


def _format_limit(limit: Any) -> str:
    if isinstance(limit, float):
        return f"{limit:,.12g}"
    return f"{limit:,}" if isinstance(limit, int) else str(limit)
