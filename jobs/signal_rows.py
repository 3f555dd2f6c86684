"""Rows of early and late signals, read without Spark: of a released table, or of files such as a training set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

import segue
from features.proxies.evidence import find_days
from jobs.errors import WrongUsage, first_line
from segue.buckets import xxhash64
from segue.errors import list_names
from segue.storage import Snapshot, filesystem, find_table, is_delta

IS_BOT, PLAY_ID = "is_bot", "play_id"
# As of `features.joins.splits.is_sampled`, so that a listener is in the sample of a training set too, or in neither.
_SAMPLE_PARTS = 10**9


class SignalRows:
    """Where rows are, and which columns they have."""

    def __init__(self, root: str, rows: str, release: str | None = None) -> None:
        """Raises WrongUsage where there is neither such a table nor such a file."""
        self.rows = rows
        # a path has a separator: a folder of a table's name is written ./name
        if "/" in rows:
            self.columns, self._batches = _open_files(rows)
        else:
            store = segue.open(root, release)
            self.columns = store.columns(rows)
            self._batches = lambda names: store.scan(rows, names)

    def read(
        self,
        names: Iterable[str],
        listener: str,
        sample: float | None = None,
        plays: pa.Array | None = None,
    ) -> tuple[pa.Table, int]:
        """Some columns of all rows, or of those of a share of the listeners or of some plays; and how many rows of bots
        are left out.

        Raises:
            WrongUsage: a column that there is not, or files that cannot be read.
        """
        known = list(dict.fromkeys([*names, *([PLAY_ID] if plays is not None else [])]))
        if missing := [each for each in known if each not in self.columns]:
            text = f"{self.rows} has no column {', '.join(missing)}; it has {list_names(self.columns)}"
            raise WrongUsage(text)
        bots = [IS_BOT] if IS_BOT in self.columns else []
        batches, count = [], 0
        for batch in self._iterate([*known, *(each for each in bots if each not in known)]):
            rows = batch if sample is None else _sample(batch, listener, sample)
            rows = rows if plays is None else rows.filter(pc.is_in(rows[PLAY_ID], plays))
            people = rows.filter(pc.invert(rows[IS_BOT].fill_null(False))) if bots else rows
            count += len(rows) - len(people)
            batches.append(people.select(known))
        return pa.Table.from_batches(batches) if batches else self._make_empty(known), count

    def _iterate(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._batches(names)
        except (pa.ArrowException, OSError) as problem:
            raise WrongUsage(f"{self.rows} cannot be read: {first_line(problem)}") from problem

    def _make_empty(self, names: Sequence[str]) -> pa.Table:
        return pa.table({name: pa.nulls(0) for name in names})


def find_status(target: str, columns: Sequence[str]) -> str | None:
    """The column that says whether a target is ripe, of rewards (status_60d) or a training set; None for none."""
    table, separator, _ = target.rpartition("__")
    horizon = find_days(target)
    form = re.compile(rf"{re.escape(table)}__status_next_(\d+)d" if separator else r"status_(\d+)d")
    statuses = {int(match[1]): name for name in columns if (match := form.fullmatch(name))}
    # sticky_59d counts 59 days after that of the play, and is ripe after 60
    return statuses[min(ripe)] if horizon and (ripe := [n for n in statuses if n >= horizon]) else None


def _open_files(path: str) -> tuple[list[str], Any]:
    try:
        if (table := find_table(path) if is_delta(path) else None) is not None:
            snapshot = Snapshot(path, table)
            return snapshot.schema.names, lambda names: snapshot.batches(snapshot.select(), names)
        files, inner = filesystem(path)
        rows = pads.dataset(inner, format="parquet", filesystem=files)
        return rows.schema.names, lambda names: rows.to_batches(columns=list(names))
    except (OSError, pa.ArrowException, ValueError) as problem:
        text = f"{path} cannot be read as Parquet or Delta: {first_line(problem)}"
        raise WrongUsage(f"{text}; give a training set, or a table's name") from None


def _sample(batch: pa.RecordBatch, listener: str, share: float) -> pa.RecordBatch:
    codes = batch[listener].cast(pa.string()).dictionary_encode()
    chosen = [
        xxhash64("sample", each) % _SAMPLE_PARTS < round(share * _SAMPLE_PARTS)
        for each in codes.dictionary.to_pylist()
    ]
    # without a listener there is nothing to choose by; the measurement counts such rows
    return batch.filter(pc.take(pa.array(chosen, pa.bool_()), codes.indices).fill_null(True))
