"""What item2vec is trained with: every choice, its unit and range, and whether it changes the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

BACKENDS = ("sgns", "gensim")
# What a cold training chooses by measuring, where it is not given.
SEARCHED = ("window", "backward", "learning_rate", "epochs", "dimensions")


class SettingsError(ValueError):
    """Settings that cannot be trained with."""


def _field(default: Any, low: float, high: float, meaning: str, changes: bool = True) -> Any:
    about = {"low": low, "high": high, "meaning": meaning, "changes_results": changes}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """Equal settings give equal vectors with one thread; with more, threads race each other.

    Raises:
        SettingsError: once, with every setting out of range.
    """

    dimensions: int = _field(64, 2, 4096, "numbers in a vector")
    window: int = _field(2, 1, 1000, "tracks ahead that are context; nearer ones more often")
    backward: float = _field(
        0.3, 0, 1, "share of the tracks behind that are context too; 1: both directions alike"
    )
    epochs: int = _field(5, 1, 1000, "passes over all sequences")
    warm_epochs: int = _field(1, 1, 1000, "the same for a warm start")
    negatives: int = _field(5, 1, 100, "negative samples per pair")
    exponent: float = _field(0.75, -2, 2, "power of plays that negatives are sampled by; 0: all tracks alike")
    subsample: float = _field(0.0, 0, 1, "share of plays above which a track is subsampled; 0: none")
    learning_rate: float = _field(0.1, 1e-6, 10, "step of Adagrad; for gensim half of it, falling to 0")
    min_plays: int = _field(1, 1, 10**9, "tracks with fewer plays in the window are not learned")
    min_length: int = _field(2, 2, 10**6, "tracks of the shortest sequence that is learned from")
    max_length: int = _field(500, 2, 10**6, "tracks after which a sequence is split")
    gap_minutes: float = _field(0.0, 0, 10**6, "minutes of silence that split a session; 0: never")
    repeats: bool = _field(False, 0, 1, "keep immediate repeats of a track")
    seed: int = _field(1, 0, 2**31 - 1, "of the initial vectors and of all sampling")
    backend: str = field(default="sgns", metadata={"meaning": " or ".join(BACKENDS), "changes_results": True})
    threads: int = _field(1, 1, 1024, "training threads; 1 makes results reproducible", changes=False)

    def __post_init__(self) -> None:
        wrong = {
            f.name: f"{f.metadata['low']:,} to {f.metadata['high']:,}"
            for f in fields(self)
            if "low" in f.metadata and not f.metadata["low"] <= getattr(self, f.name) <= f.metadata["high"]
        }
        if self.backend not in BACKENDS:
            wrong["backend"] = " or ".join(BACKENDS)
        if self.min_length > self.max_length and not wrong.keys() & {"min_length", "max_length"}:
            wrong["min_length"] = f"max_length ({self.max_length}) or less"
        if wrong:
            faults = "; ".join(
                f"{name} is {getattr(self, name)!r}, must be {of}" for name, of in wrong.items()
            )
            raise SettingsError(f"item2vec settings out of range: {faults}")

    def result_settings(self) -> dict[str, Any]:
        """Those that change the result, by name."""
        changing = {f.name for f in fields(self) if f.metadata["changes_results"]}
        return {name: value for name, value in asdict(self).items() if name in changing}
