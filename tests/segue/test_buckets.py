from __future__ import annotations

import pytest

from segue.buckets import bucket

# key, xxhash64(key) as Spark 4.1 returns it, pmod of that and 64, and 10
SPARK = [
    ("", -7444071767201028348, 4, 2),
    ("abc", 1423657621850124518, 38, 8),
    ("u1", -5294616631767451713, 63, 7),
    ("Motörhead \u2013 Überjam", -7004515650611824823, 9, 7),
    ("周杰倫の夜曲", -2059674969906080128, 0, 2),
    ("🎧 mix", -3183838047374374930, 46, 0),
    ("x" * 31, -1716462135722163746, 30, 4),
    ("x" * 32, 1299777543150008824, 56, 4),
    ("0123456789" * 20, -4486524572821027845, 59, 5),
    ("track:\x00nul", -5727755121035109723, 37, 7),
]


@pytest.mark.parametrize(("key", "signed_hash", "bucket_of_64", "bucket_of_10"), SPARK)
def test_bucket_equals_pmod_of_xxhash64_in_spark(key, signed_hash, bucket_of_64, bucket_of_10):
    assert bucket(key, 64) == bucket_of_64
    assert bucket(key, 10) == bucket_of_10, "the hash must be read as signed: 2^64 is no multiple of 10"
    assert bucket(key, 2**64) == signed_hash % 2**64
