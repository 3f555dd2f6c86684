"""Settings as declarations: every choice, its unit and range, and whether it changes the result."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

BACKENDS = ("sgns", "gensim")
# What a cold training chooses by measuring, where it is not given.
SEARCHED = ("window", "backward", "learning_rate", "epochs", "dimensions")
ABOVE_0 = math.ulp(0.0)


class SettingsError(ValueError):
    """Settings that cannot be used; the text lists every one of them."""


def setting(
    default: Any, low: float, high: float, meaning: str, changes: bool = True, choices: Any = None
) -> Any:
    """A field of a dataclass of settings, for numbers from `low` to `high`, or one of the `choices`."""
    about = {"low": low, "high": high, "choices": choices, "meaning": meaning, "changes_results": changes}
    return field(default=default, metadata=about)


def find_faults(settings: Any) -> dict[str, str]:
    """By name of a setting that is out of range, what it must be."""
    faults = {}
    for each in fields(settings):
        value, about = getattr(settings, each.name), each.metadata
        if about["choices"] and value not in about["choices"]:
            faults[each.name] = " or ".join(about["choices"])
        if not about["choices"] and not about["low"] <= value <= about["high"]:
            faults[each.name] = _describe_range(about["low"], about["high"])
    return faults


def _describe_range(low: float, high: float) -> str:
    if high < math.inf:
        return f"{low:,} to {high:,}"
    return "above 0" if low == ABOVE_0 else f"{low:,} or more"


def check(settings: Any, what: str, faults: dict[str, str]) -> None:
    """Raises SettingsError once, with every fault."""
    if faults:
        said = "; ".join(
            f"{name} is {getattr(settings, name)!r}, must be {of}" for name, of in faults.items()
        )
        raise SettingsError(f"{what}: {said}")


@dataclass(frozen=True)
class Settings:
    """Of item2vec. Equal settings give equal vectors with one thread; with more, threads race each other.

    Raises:
        SettingsError: once, with every setting out of range.
    """

    dimensions: int = setting(64, 2, 4096, "numbers in a vector")
    window: int = setting(2, 1, 1000, "tracks ahead that are context; nearer ones more often")
    backward: float = setting(
        0.3, 0, 1, "share of the tracks behind that are context too; 1: both directions alike"
    )
    epochs: int = setting(5, 1, 1000, "passes over all sequences")
    warm_epochs: int = setting(1, 1, 1000, "the same for a warm start")
    negatives: int = setting(5, 1, 100, "negative samples per pair")
    exponent: float = setting(
        0.75, -2, 2, "power of plays that negatives are sampled by; 0: all tracks alike"
    )
    subsample: float = setting(0.0, 0, 1, "share of plays above which a track is subsampled; 0: none")
    learning_rate: float = setting(0.1, 1e-6, 10, "step of Adagrad; for gensim half of it, falling to 0")
    min_plays: int = setting(1, 1, 10**9, "tracks with fewer plays in the window are not learned")
    min_length: int = setting(2, 2, 10**6, "tracks of the shortest sequence that is learned from")
    max_length: int = setting(500, 2, 10**6, "tracks after which a sequence is split")
    gap_minutes: float = setting(0.0, 0, 10**6, "minutes of silence that split a session; 0: never")
    repeats: bool = setting(False, 0, 1, "keep immediate repeats of a track")
    seed: int = setting(1, 0, 2**31 - 1, "of the initial vectors and of all sampling")
    backend: str = setting("sgns", 0, 0, "trainer", choices=BACKENDS)
    threads: int = setting(1, 1, 1024, "training threads; 1 makes results reproducible", changes=False)

    def __post_init__(self) -> None:
        faults = find_faults(self)
        if self.min_length > self.max_length and not faults.keys() & {"min_length", "max_length"}:
            faults["min_length"] = f"max_length ({self.max_length}) or less"
        check(self, "item2vec", faults)

    def result_settings(self) -> dict[str, Any]:
        """Those that change the result, by name."""
        changing = {f.name for f in fields(self) if f.metadata["changes_results"]}
        return {name: value for name, value in asdict(self).items() if name in changing}


@dataclass(frozen=True)
class CandidateSettings:
    """Of candidates. All of them change the result.

    Raises:
        SettingsError: once, with every setting out of range.
    """

    per_user: int = setting(100, 1, math.inf, "candidates of a listener at most")
    recent_hours: float = setting(24.0, 0, 1e6, "tracks played in so many hours before midnight are left out")
    seeds: int = setting(
        10, 1, math.inf, "tracks played last, each counted once, whose neighbours are candidates"
    )
    explicit: bool = setting(True, 0, 1, "whether tracks that are marked explicit may be candidates")
    per_artist: int = setting(
        5, 1, math.inf, "candidates of one artist at most; unknown artists are not counted"
    )
    half_life_days: float = setting(
        7.0, ABOVE_0, math.inf, "a seed played so many days before the newest one weighs half"
    )

    def __post_init__(self) -> None:
        check(self, "candidates", find_faults(self))
