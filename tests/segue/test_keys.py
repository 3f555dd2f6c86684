"""Keys of every kind that callers have are one and the same text; what is none is refused in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from segue.errors import UsageError
from segue.keys import read_keys, to_text

IDS = ["u1", None, "ü2", "u1"]
TEXTS = ["u1", "ü2", "u1"]


class Lender:
    """Columns of a library that lends them, as polars does."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.column = column

    def __arrow_c_stream__(self, requested_schema=None):
        return self.column.__arrow_c_stream__(requested_schema)


VIEWS = pa.DictionaryArray.from_arrays(
    pa.array([0, None, 1, 0], pa.uint32()), pa.array(["u1", "ü2"], pa.string_view())
)
WITH_NULL = {
    "list": IDS,
    "tuple": tuple(IDS),
    "numpy objects": np.array(IDS, dtype=object),
    "numpy objects with NaN": np.array(["u1", float("nan"), "ü2", "u1"], dtype=object),
    "numpy strings of any width": np.array(IDS, dtype=np.dtypes.StringDType(na_object=None)),
    "masked": np.ma.array(["u1", "", "ü2", "u1"], mask=[0, 1, 0, 0]),
    "pandas": pd.Series(IDS),
    "pandas strings": pd.Series(IDS, dtype="string"),
    "pandas categories": pd.Series(IDS, dtype="category"),
    "pandas on Arrow": pd.Series(IDS, dtype=pd.ArrowDtype(pa.string())),
    "index": pd.Index(IDS),
    "string": pa.array(IDS),
    "large": pa.array(IDS, pa.large_string()),
    "view": pa.array(IDS, pa.string_view()),
    "dictionary": pa.array(IDS).dictionary_encode(),
    "run ends": pa.compute.run_end_encode(pa.array(IDS)),
    "two dictionaries": pa.chunked_array(
        [pa.array(IDS[:2]).dictionary_encode(), pa.array(IDS[2:]).dictionary_encode()]
    ),
    "lent": Lender(pa.chunked_array([pa.array(IDS, pa.string_view())])),
    "lent categories": Lender(pa.chunked_array([VIEWS])),
}


@pytest.mark.parametrize("keys", WITH_NULL.values(), ids=WITH_NULL)
def test_read_keys_of_any_kind_of_text(keys):
    assert read_keys(keys).to_pylist() == IDS


@pytest.mark.parametrize("keys", [np.array(TEXTS), np.array(TEXTS, dtype=np.dtypes.StringDType())])
def test_read_keys_of_numpy(keys):
    assert read_keys(keys).to_pylist() == TEXTS


@pytest.mark.parametrize("keys", [[], [None, None], pa.chunked_array([], pa.string())])
def test_read_keys_without_a_text(keys):
    assert read_keys(keys).null_count == len(read_keys(keys)) == len(keys)


CAST = {
    "numbers": ([7, None, -1], ["7", None, "-1"]),
    "numpy": (np.array([7, 2**40]), ["7", str(2**40)]),
    "beyond 64 bits": ([2**70], [str(2**70)]),
    "run ends": (pa.compute.run_end_encode(pa.array([7, 7, 8])), ["7", "7", "8"]),
    "both": (["a", 1, np.int32(2), None], ["a", "1", "2", None]),
    "bytes": ([b"a", "ü".encode()], ["a", "ü"]),
    "bytes of numpy": (np.array(["ab", "c"], dtype="S"), ["ab", "c"]),
    "bytes of one width": (pa.array([b"ab"], pa.binary(2)), ["ab"]),
}


@pytest.mark.parametrize(("keys", "texts"), CAST.values(), ids=CAST)
def test_read_keys_casts_only_where_requested(keys, texts):
    with pytest.raises(UsageError, match=r"keys must be a list of strings; got .*cast_keys=True"):
        read_keys(keys)
    assert read_keys(keys, cast=True).to_pylist() == texts


REFUSED = {
    "floats": [7.0],
    "a float": ["a", 7.0],
    "booleans": [True],
    "a boolean": ["a", True],
    "one": "u1",
    "one of bytes": b"u1",
    "a number": 5,
    "nothing": None,
    "a matrix": np.array([TEXTS]),
    "rows": pa.table({"a": TEXTS}),
    "no UTF-8": [b"\xff"],
    "half a character": ["a", "\ud800"],
    "half a character of numpy": np.array(["\ud800"], object),
    "half a character and a number": ["\ud800", 7],
}


@pytest.mark.parametrize("keys", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("cast", [False, True])
def test_read_keys_refuses_what_has_no_one_text(keys, cast):
    with pytest.raises(UsageError, match=r"^keys ") as refusal:
        read_keys(keys, cast)
    assert "\n" not in str(refusal.value)


def test_to_text_of_an_empty_column_has_no_rows():
    for type_ in (pa.string(), VIEWS.type, pa.int64()):
        assert to_text(pa.chunked_array([], type_)).to_pylist() == []
