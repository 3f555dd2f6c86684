"""Settings as a model: each field has a type, a range, and a description that `--help` shows."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError


class SettingsError(ValueError):
    """Settings that cannot be used; the text lists every fault, in one line."""


class Settings(BaseModel):
    """Base of settings; `Field(default=..., ge=low, le=high, description=meaning)` declares one.

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
            raise self.error(f"{self.refusal}: {faults}") from None

    @classmethod
    def _describe_fault(cls, fault: dict[str, Any]) -> str:
        name = ".".join(map(str, fault["loc"]))
        if fault["type"] == "value_error":  # raised by a validator of ours, which says it all
            return str(fault["ctx"]["error"])
        if fault["type"] == "missing":
            return f"{name} is missing"
        if fault["type"] == "extra_forbidden":
            return f"{name} is unknown, must be one of {', '.join(cls.model_fields)}"
        if fault["type"] in ("greater_than_equal", "less_than_equal"):
            rules = cls.model_fields[name].metadata
            limits = [getattr(rule, end) for end in ("ge", "le") for rule in rules if hasattr(rule, end)]
            return f"{name} is {fault['input']}, must be {' to '.join(map(str, limits))}" + (
                "" if len(limits) == 2 else f" or {'more' if 'ge' in fault['ctx'] else 'less'}"
            )
        return f"{name} is {fault['input']!r}: {fault['msg']}"
