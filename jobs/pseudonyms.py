"""Ids replaced by a keyed hash before anything is written: with the tables and without the key, nobody is found."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import WrongUsage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The key itself, or a file with it. No setting of segue.toml: `segue config` prints those, and repositories keep them.
KEY, KEY_FILE = "SEGUE_ID_KEY", "SEGUE_ID_KEY_FILE"
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
    """A fingerprint of the key, for those of batches: other ids are other rows."""
    return hash_id(read_key(), "segue: which key")[:8]


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
