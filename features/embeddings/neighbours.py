"""The nearest tracks of every track, searched in tasks that hold all items and answer some of the queries.

Each of `tasks` tasks gets every vector through one shuffle and searches for its share of the tracks. Nothing
passes through the driver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from features.embeddings.arrays import Floats, Ints, Matrix, check_one_width, to_matrix
from schemas.similar_tracks import SIMILAR_TRACKS

if TYPE_CHECKING:  # faiss is loaded in the tasks that search, not where plans are made
    import faiss
    from pyspark.resource import ResourceProfile

# Queries that a thread searches at a time: as fast as more of them, and the first answers leave soon.
QUERIES = 2048
# Taken beyond k, so that ties at the k-th place are settled by id. More than these are cut as faiss has them.
SPARE = 16
# Two equal vectors may differ in the last bit of a score, by their places in a block. Six decimals do not.
DECIMALS = 6
# Cells of the index that a query looks into: recall@100 is 0.977 with 4 x sqrt(n) cells.
PROBES = 32
# Vectors per cell that cells are learned from; fewer than 39 and faiss's cells get worse.
SAMPLED = 64
CARRIED = ("version_id", "space_id", "feature_at", "ds")
_OUTPUT = StructType(
    [field for field in SIMILAR_TRACKS.struct() if field.name not in ("bucket", "available_at")]
)


# One task with all cores of an executor is the least memory per track: 10 million tracks x 128 are 5 GB of
# Arrow and 5 GB of index, as much as the training itself needs, which runs in one task too. More tasks divide
# the time and multiply the memory. Rejected: a broadcast (the driver would hold the items twice, and Spark's
# ends at 8 GB); item blocks x query blocks, merged by query (above a million tracks each block would need an
# index of its own, all of them are searched, and every query has its k best shuffled once per block).


class NeighboursError(ValueError):
    """A search that cannot be made: of no neighbours, or among vectors that do not compare."""


@dataclass(frozen=True)
class Search:
    """How neighbours are searched for. Only `exact_up_to` changes a result."""

    exact_up_to: int = 1_000_000  # tracks; above, an index of cells finds most of the nearest
    tasks: int = 1  # that share the queries; each holds all vectors
    threads: int | None = None  # of a task; None is what the scheduler grants it (spark.task.cpus)
    profile: ResourceProfile | None = None  # of the stage: a task's cores and memory


def find_similar_tracks(embeddings: DataFrame, k: int = 50, search: Search | None = None) -> DataFrame:
    """Rows of `similar_tracks`: per track with a vector its k nearest by cosine, itself left out.

    Scores have six decimals; equal ones are in the order of track ids. Where more than `SPARE` tracks tie
    at the k-th place, which of them are among the k is arbitrary, and the same each time.

    Args:
        embeddings: one day of `track_embeddings`, of one space.

    Raises:
        NeighboursError: k is below 1. From the task that searches: vectors of several spaces.
        VectorError: from that task: vectors of several lengths.
    """
    return _search_neighbours(embeddings, "vector", "vector", k, search or Search())


def find_next_tracks(embeddings: DataFrame, k: int = 100, search: Search | None = None) -> DataFrame:
    """The same columns, by inner product of a track's in_vector with the out_vector of the others:
    the best score there is of which track is played next."""
    return _search_neighbours(embeddings, "in_vector", "out_vector", k, search or Search())


def largest_in_degree(similar: DataFrame, k: int = 10) -> float:
    """How many tracks name the same one among their k nearest, against the mean: the hubness of a space
    (Radovanović et al., 2010). Where all lists are shorter, k is the longest's length; 0 where no track has a
    neighbour."""
    neighbours = similar.select(F.posexplode(F.slice("neighbours", 1, k)).alias("place", "neighbour"))
    counts = neighbours.groupBy("neighbour").agg(F.count("*").alias("count"), F.max("place").alias("place"))
    most, last = counts.agg(F.max("count"), F.max("place")).collect()[0]
    return float(most) / (last + 1) if most else 0.0


def _search_neighbours(embeddings: DataFrame, query: str, item: str, k: int, search: Search) -> DataFrame:
    if k < 1:
        raise NeighboursError(f"neighbours: k is {k}; it must be 1 or more")
    task = F.explode(F.array(*[F.lit(n) for n in range(search.tasks)]))
    is_query = F.pmod(F.xxhash64("track_id"), F.lit(search.tasks)) == F.col("task")
    # a query that is an item too need not be sent twice; of the others only its share goes to a task
    queries = F.when(F.col("is_query"), F.col(query)) if query != item else F.lit(None).cast("array<float>")
    rows = (
        embeddings.where(F.col(query).isNotNull() & F.col(item).isNotNull())
        .select("track_id", *CARRIED, query, F.col(item).alias("item"), task.alias("task"))
        .withColumn("is_query", is_query)
        .select("track_id", *CARRIED, "is_query", queries.alias("query"), "item", "task")
        .repartitionById(search.tasks, "task")
        .sortWithinPartitions("track_id")  # a place is an order then, and a run like the one before it
    )
    search_task = partial(_search_task, k=k, exact_up_to=search.exact_up_to, threads=search.threads)
    return rows.drop("task").mapInArrow(search_task, _OUTPUT, profile=search.profile)


def _search_task(
    batches: Iterable[pa.RecordBatch], k: int, exact_up_to: int, threads: int | None
) -> Iterator[pa.RecordBatch]:
    items = [batch for batch in batches if batch.num_rows]
    if not items:
        return
    spaces = sorted({space for batch in items for space in batch.column("space_id").unique().to_pylist()})
    if len(spaces) > 1:
        raise NeighboursError(
            f"neighbours: vectors of {len(spaces)} spaces, {spaces[:3]}, do not compare; "
            "give one day of track_embeddings"
        )
    context = TaskContext.get()
    threads = threads or (context.cpus() if context else 1)
    # Arrow's batches are read as matrices where they lie: no list of Python holds a vector
    index, search = _build_index([to_matrix(batch.column("item")) for batch in items], exact_up_to, threads)
    # offsets of 32 bits would end at 2 GiB of ids
    ids = pa.concat_arrays([batch.column("track_id").cast(pa.large_string()) for batch in items])
    search_slice = partial(_search_rows, index=index, ids=ids, k=k, search=search)
    # faiss's own threads wait for each other at every block: on a busy machine two of them took twice as long
    # as one. So each thread searches for other queries, by itself
    with ThreadPoolExecutor(threads, initializer=_use_one_thread) as pool:
        yield from _map_in_order(pool, search_slice, _slice_queries(items), ahead=4 * threads)


def _use_one_thread() -> None:
    import faiss

    # faiss 1.15 multiplies matrices only above this number of query values: three times faster from here on
    faiss.cvar.distance_compute_blas_threshold = 20
    faiss.omp_set_num_threads(1)  # of the thread that calls it


def _build_index(items: list[Matrix], exact_up_to: int, threads: int) -> tuple[faiss.Index, str]:
    """All items, in the order given, and the name of the search."""
    import faiss

    check_one_width(*(matrix.shape[1] for matrix in items))
    faiss.omp_set_num_threads(threads)
    total = sum(map(len, items))
    index = faiss.IndexFlatIP(items[0].shape[1]) if total <= exact_up_to else _train_cells(items, total)
    for matrix in items:
        index.add(matrix)
    return index, "exact" if total <= exact_up_to else "ivf"


def _train_cells(items: list[Matrix], total: int) -> faiss.IndexIVFFlat:
    """An empty index of 4 x sqrt(total) cells, learned from rows at equal distances."""
    import faiss

    # not HNSW: its libraries answer 22 to 30 thousand queries a second at recall 0.95, cells 31 at 0.977

    width, cells = items[0].shape[1], max(1, min(total, int(4 * total**0.5)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = PROBES
    index.cp.seed, index.cp.min_points_per_centroid = 1, 1  # few points per cell are no cause for a warning
    index.train(np.concatenate([matrix[:: max(1, total // (cells * SAMPLED))] for matrix in items]))
    return index


def _slice_queries(items: list[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """All rows in slices, those without a query left out, each with the place of its first."""
    place = 0
    for batch in items:
        for start in range(0, batch.num_rows, QUERIES):
            rows = batch.slice(start, QUERIES)
            if rows.column("is_query").true_count:
                yield rows, place + start
        place += batch.num_rows


def _map_in_order(
    pool: ThreadPoolExecutor, function: Callable[[Any], Any], arguments: Iterable[Any], ahead: int
) -> Iterator[Any]:
    """Like pool.map, but no more than `ahead` results wait for whoever takes them: Spark may read slower."""
    futures: deque[Future[Any]] = deque()
    for argument in arguments:
        futures.append(pool.submit(function, argument))
        if len(futures) > ahead:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


def _search_rows(
    slice_: tuple[pa.RecordBatch, int], index: faiss.Index, ids: pa.Array, k: int, search: str
) -> pa.RecordBatch:
    """The queries of a slice, with their neighbours."""
    rows, first = slice_
    # the query is null where it is the item itself
    is_query = rows.column("is_query").to_numpy(zero_copy_only=False)
    rows = rows.filter(rows.column("is_query"))
    same_as_item = rows.column("query").null_count == rows.num_rows
    queries = to_matrix(rows.column("item" if same_as_item else "query"))
    places, scores, lengths = search_index(index, queries, first + np.flatnonzero(is_query), k)
    offsets = pa.array(np.append(0, np.cumsum(lengths)).astype(np.int32))
    columns = {
        "neighbours": pa.ListArray.from_arrays(offsets, ids.take(pa.array(places)).cast(pa.string())),
        "scores": pa.ListArray.from_arrays(offsets, pa.array(scores)),
        "search": pa.repeat(search, rows.num_rows),
    }
    columns |= {name: rows.column(name) for name in ("track_id", *CARRIED)}
    return pa.RecordBatch.from_pydict({name: columns[name] for name in _OUTPUT.names})


def search_index(index: faiss.Index, queries: Matrix, own: Ints, k: int) -> tuple[Ints, Floats, Ints]:
    """Of each query its k best places but its `own`, the best first, equal scores by place.

    Returns:
        places (int64) and scores (float32) of all queries one after the other, and how many each has.
    """
    scores, places = index.search(queries, min(k + 1 + SPARE, index.ntotal))
    valid = (places >= 0) & (places != own[:, None])
    # One sort of whole numbers, the score before the place, is ten times faster than sorting by two keys.
    millionths = np.rint(scores.astype(np.float64) * 10**DECIMALS)
    keys = -np.clip(millionths, -(2**31) + 1, 2**31 - 1).astype(np.int64) << 32 | places
    keys = np.sort(np.where(valid, keys, np.iinfo(np.int64).max), axis=1)[:, :k]
    lengths = np.minimum(valid.sum(axis=1), k)
    best = keys[np.arange(keys.shape[1]) < lengths[:, None]]
    return best & (2**32 - 1), (-(best >> 32) / 10**DECIMALS).astype(np.float32), lengths
