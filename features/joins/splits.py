"""Training, validation and test rows that do not leak into each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from pyspark.sql import Column
from pyspark.sql import functions as F

SPLITS = ("train", "validation", "test")
# a sample of a billionth is one of one label in a billion
_SAMPLE_PARTS = 10**9
# fine enough for a share of 0.01 %, and what a share is rounded to
_PARTS = 10_000


def split(
    at: Column,
    instants: Sequence[datetime] = (),
    entity: Column | None = None,
    shares: Sequence[float] = (),
    salt: str = "",
) -> Column:
    """Which split a label belongs to: by its instant, by its entity, or the later of the two.

    With both, an entity of the test set is nowhere else, and nothing after the first instant is trained on.

    Args:
        instants: where validation begins and where the test begins; one is where the test begins.
        entity: what must not be in two splits; hashed, so it is in the same one in every training set.
        shares: of the entities, in the order of `SPLITS`; two are of training and test.
        salt: hashed with the entity, so that another one splits otherwise.
    """
    by_time = _split_by_time(at, instants)
    by_entity = F.lit(0) if entity is None else _split_by_share(entity, shares, salt)
    names = F.array(*map(F.lit, SPLITS))
    return F.get(names, F.greatest(by_time, by_entity))


def is_sampled(key: Column, share: float) -> Column:
    """Whether rows of a key are in a sample of the keys; a larger sample has all that a smaller one has."""
    # of more than the key: by the hash that decides a split, one per cent of all would be of the training split alone
    hashed = F.pmod(F.xxhash64(F.lit("sample"), key), F.lit(_SAMPLE_PARTS))
    return hashed < round(share * _SAMPLE_PARTS)


def _split_by_time(at: Column, instants: Sequence[datetime]) -> Column:
    position = F.lit(0)
    for n, instant in zip(_positions(len(instants) + 1)[1:], instants, strict=True):
        position = F.when(at >= F.lit(instant), n).otherwise(position)
    return position


def _split_by_share(entity: Column, shares: Sequence[float], salt: str) -> Column:
    # By hash, not at random: an entity that comes back in next month's labels is in the same split.
    hashed = F.pmod(F.xxhash64(F.lit(salt), entity) if salt else F.xxhash64(entity), F.lit(_PARTS))
    limits = [round(_PARTS * limit) for limit in accumulate(shares)]
    # the last split takes what is left by shares that were rounded
    position = F.lit(len(SPLITS) - 1)
    for n, limit in reversed(list(zip(_positions(len(shares)), limits, strict=True))):
        position = F.when(hashed < limit, n).otherwise(position)
    return position


def _positions(count: int) -> list[int]:
    # two splits are training and test
    return [0, 2] if count == 2 else list(range(count))
