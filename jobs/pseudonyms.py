"""Ids replaced by a keyed hash before anything is written: with the tables and without the key, nobody is found."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import WrongUsage
from schemas.plays import PLAYS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from jobs.publishing.warehouse import Warehouse
    from jobs.sources import Source

# The key itself, or a file with it. No setting of segue.toml: `segue config` prints those, and repositories keep them.
KEY, KEY_FILE = "SEGUE_ID_KEY", "SEGUE_ID_KEY_FILE"
# The check value of the key of before, where another one is meant.
KEY_BEFORE = "SEGUE_ID_KEY_BEFORE"
# A shorter one could be found by trying, from one id that is known.
LEAST_BYTES = 32
FUNCTION = "segue_pseudonym"
# Of 64: two of a billion ids are alike with a chance of 1 in 10^20.
HEX_DIGITS = 32
_HOW = f"write one with: openssl rand -hex 32 > id.key, and set {KEY_FILE} to its path"


def read_key() -> bytes:
    """The key.

    Raises:
        WrongUsage: there is none, it cannot be read, or it is too short. The text never has a part of it.
    """
    key, path = os.environ.get(KEY, ""), os.environ.get(KEY_FILE, "")
    if not key and not path:
        raise WrongUsage(f"ids are to be pseudonymised, and there is no key in {KEY} or {KEY_FILE}; {_HOW}")
    try:
        # a line end is the editor's, not the key's
        content = (key or Path(path).read_text(encoding="utf-8")).strip().encode()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise WrongUsage(f"the key of {KEY_FILE} cannot be read: {reason}; {_HOW}") from None
    if len(content) < LEAST_BYTES:
        raise WrongUsage(
            f"the key has {len(content)} characters, expected {LEAST_BYTES} or more, by chance; {_HOW}"
        )
    return content


def identify_key() -> str:
    """The check value of the key, which does not lead back to it: other ids are other rows."""
    return hash_id(read_key(), "segue: which key")[:8]


def check_key(warehouse: Warehouse, source: Source, table: str) -> str:
    """The check value of the key that a source's ids are replaced with; empty where they are not.

    One key is for all sources of a root, so that a listener of two of them is one.

    Raises:
        WrongUsage: ids were replaced with another key before, and nobody says that this one is meant.
    """
    if not source.pseudonymise:
        return ""
    key, before = identify_key(), _list_keys(warehouse, [table, PLAYS.name])[-1:]
    if before and key != before[0] != os.environ.get(KEY_BEFORE, ""):
        raise WrongUsage(
            f"the key in {KEY} or {KEY_FILE} is another than that of the ids in {warehouse.root} (check value {key}, "
            f"before {before[0]}): the same listeners would be others from now on. Set the key of before; if a new one "
            f"is meant, set {KEY_BEFORE}={before[0]}, and ids of before stay as they are"
        )
    return key


def read_known_key(warehouse: Warehouse, tables: Iterable[str]) -> bytes:
    """The key, if ids of these tables were ever replaced with it.

    Raises:
        WrongUsage: they were with others; nobody would be found.
    """
    known = dict.fromkeys(key for table in tables for key in _list_keys(warehouse, [table]))
    if known and identify_key() not in known:
        raise WrongUsage(
            f"no id in {warehouse.root} was replaced with the key in {KEY} or {KEY_FILE} (check value "
            f"{identify_key()}, known are {', '.join(known)}); set the key that the listeners were ingested with"
        )
    return read_key()


def _list_keys(warehouse: Warehouse, tables: Iterable[str]) -> list[str]:
    """Of the first table that has any, the newest last."""
    states = filter(None, map(warehouse.state, tables))
    return next((list(state.id_keys) for state in states if state.id_keys), [])


@dataclass(frozen=True)
class Hash:
    """Of texts; `meaning` says with what, in words."""

    key: bytes = field(repr=False)
    meaning: str

    def __call__(self, text: str) -> str:
        return hash_id(self.key, text)


def find_hash(warehouse: Warehouse, table: str) -> Hash:
    """With the key of the root, where it has one that is known here; else with random bytes that nobody keeps."""
    with suppress(WrongUsage):
        if _list_keys(warehouse, [table, PLAYS.name]):
            key = read_known_key(warehouse, [table, PLAYS.name])
            return Hash(key, f"keyed: with the key of the ids of this root, check value {identify_key()}")
    meaning = "salted: with random bytes that nobody kept; equal keys have equal hashes in this batch alone"
    return Hash(secrets.token_bytes(LEAST_BYTES), meaning)


def hash_id(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:HEX_DIGITS]


def wrap(expression: str) -> str:
    """SQL for the pseudonym of what an expression is; null where that is null, blank, or cannot be computed."""
    # try_to_binary is null for whatever is raised inside it: as an argument of Python's, it would fail the job
    return f"{FUNCTION}(cast(try_to_binary(cast(({expression}) as string), 'utf-8') as string))"


def register(spark: SparkSession) -> None:
    """Makes the function of `wrap` known to a session."""
    from pyspark.sql import functions as F

    key = read_key()

    # in Python: as an argument of Spark's own functions the key would stand in plans, and so in logs and event logs
    def hash_text(text: str | None) -> str | None:
        plain = (text or "").strip()
        return hash_id(key, plain) if plain else None

    spark.udf.register(FUNCTION, F.udf(hash_text, "string", useArrow=True))
