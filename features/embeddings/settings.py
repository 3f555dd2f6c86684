"""Settings of item2vec and of candidates: each one's unit and range, and whether it changes the result."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from features.embeddings.evaluation import MOST_COUNTED
from features.embeddings.held_out import MOST_PAIRS
from features.settings import SettingsError, SettingsModel

__all__ = ["BACKENDS", "SEARCHED", "CandidateSettings", "Settings", "SettingsError"]

Backend = Literal["sgns", "gensim"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
# What a cold training chooses by measuring, where it is not given.
SEARCHED = ("window", "backward", "learning_rate", "epochs", "dimensions")


class Settings(SettingsModel):
    """Of item2vec. Equal settings give equal vectors with one thread; with more, threads race each other."""

    refusal: ClassVar[str] = "item2vec"
    # Settings that decide how fast, and not what comes out: a run with others is the same batch.
    same_result: ClassVar[frozenset[str]] = frozenset({"threads"})
    # Settings that decide which plays are learned from and measured on; a space is measured with those of its training.
    sampling: ClassVar[frozenset[str]] = frozenset({"max_sequences", "pairs", "baseline_sequences"})

    dimensions: int = Field(default=64, ge=2, le=4096, description="numbers in a vector")
    window: int = Field(
        default=2, ge=1, le=1000, description="tracks ahead that are context; nearer ones more often"
    )
    backward: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="share of the tracks behind that are context too; 1: both directions alike",
    )
    epochs: int = Field(default=5, ge=1, le=1000, description="passes over all sequences")
    warm_epochs: int = Field(default=1, ge=1, le=1000, description="the same for a warm start")
    negatives: int = Field(default=5, ge=1, le=100, description="negative samples per pair")
    exponent: float = Field(
        default=0.75,
        ge=-2,
        le=2,
        description="power of plays that negatives are sampled by; 0: all tracks alike",
    )
    subsample: float = Field(
        default=0.0, ge=0, le=1, description="share of plays above which a track is subsampled; 0: none"
    )
    learning_rate: float = Field(
        default=0.1, ge=1e-6, le=10, description="step of Adagrad; for gensim half of it, falling to 0"
    )
    min_plays: int = Field(
        default=1, ge=1, le=10**9, description="tracks with fewer plays in the window are not learned"
    )
    min_length: int = Field(
        default=2, ge=2, le=10**6, description="tracks of the shortest sequence that is learned from"
    )
    max_length: int = Field(default=500, ge=2, le=10**6, description="tracks after which a sequence is split")
    gap_minutes: float = Field(
        default=0.0, ge=0, le=10**6, description="minutes of silence that split a session; 0: never"
    )
    repeats: bool = Field(default=False, description="keep immediate repeats of a track")
    seed: int = Field(default=1, ge=0, le=2**31 - 1, description="of the initial vectors and of all sampling")
    backend: Backend = Field(default="sgns", description="trainer")
    threads: int = Field(
        default=1, ge=1, le=1024, description="training threads; 1 makes results reproducible"
    )

    max_sequences: int = Field(
        # what two cores learn in an hour twenty times over, see benchmarks/embedding_sizes.py
        default=20_000_000,
        ge=1,
        le=10**12,
        description="sequences to learn from at most; of more, those of some listeners, chosen by a hash",
    )
    pairs: int = Field(
        default=MOST_PAIRS, ge=1, le=10**7, description="plays held out at most, to measure a space by"
    )
    baseline_sequences: int = Field(
        default=MOST_COUNTED,
        ge=1,
        le=10**9,
        description="sequences at most in which tracks played together are counted, to compare with",
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> Settings:
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length is {self.min_length}, must be max_length ({self.max_length}) or less"
            )
        return self

    def result_settings(self) -> dict[str, Any]:
        """Those that change the result, by name."""
        return {name: value for name, value in self if name not in self.same_result}


class CandidateSettings(SettingsModel):
    """Of candidates. All of them change the result."""

    refusal: ClassVar[str] = "candidates"

    per_user: int = Field(default=100, ge=1, description="candidates of a listener at most")
    recent_hours: float = Field(
        default=24.0, ge=0, le=1e6, description="tracks played in so many hours before midnight are left out"
    )
    seeds: int = Field(
        default=10, ge=1, description="tracks played last, each counted once, whose neighbours are candidates"
    )
    explicit: bool = Field(
        default=True, description="whether tracks that are marked explicit may be candidates"
    )
    per_artist: int = Field(
        default=5, ge=1, description="candidates of one artist at most; unknown artists are not counted"
    )
    half_life_days: float = Field(
        default=7.0, gt=0, description="a seed played so many days before the newest one weighs half"
    )
