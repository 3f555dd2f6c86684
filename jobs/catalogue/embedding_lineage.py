"""Of the columns of embeddings and what is made of them, the columns that they are computed from.

Nothing declares these as data, as it does features: they are what the functions of `features.embeddings` read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# By how a column is used, which columns: `table.column` each.
Uses = Mapping[str, tuple[str, ...]]


def _of(table: str, *columns: str) -> tuple[str, ...]:
    return tuple(f"{table}.{column}" for column in columns)


_HUMAN: Uses = {"filter": ("sessions.is_bot",), "window": ("sessions.ds",)}
_UNSKIPPED: Uses = {
    "filter": _of("sessions", "is_bot", "skipped"),
    "window": _of("sessions", "played_at", "ds"),
}
# A sentence of item2vec is a session's tracks in the order of its plays, cut where it was silent for long.
_LEARNED: Uses = {
    "value": ("sessions.track_id",),
    "key": _of("sessions", "session_id", "user_id", "session_started_at"),
    "order": _of("sessions", "position", "played_at", "ms_played", "track_ms"),
    **_HUMAN,
}
# A track that was not learned gets the mean of its artist's, or what its catalogue row suggests.
_FILLED: Uses = {
    **_LEARNED,
    "value": (
        "sessions.track_id",
        *_of("tracks", "artist_id", "album", "track_ms", "explicit", "released_on", "title", "artist_name"),
    ),
}
_VECTORS = _of("track_embeddings", "vector", "in_vector", "out_vector")
_MEAN: Uses = {
    **_UNSKIPPED,
    "key": ("sessions.user_id", "sessions.track_id", "track_embeddings.track_id"),
}
_CHOSEN: Uses = {
    **_UNSKIPPED,
    # next tracks are those whose out vector is near to the in vector of what was played
    "value": (
        *_of("similar_tracks", "neighbours", "scores"),
        *_of("track_embeddings", "track_id", "in_vector", "out_vector"),
        *_of("sessions", "track_id", "played_at"),
    ),
    "key": ("sessions.user_id",),
    "filter": (*_UNSKIPPED["filter"], "tracks.explicit", "tracks.artist_id"),
}


def _columns(names: Iterable[str], uses: Uses) -> dict[str, Uses]:
    return dict.fromkeys(names, uses)


def _of_version(*names: str) -> dict[str, Uses]:
    return {name: {"value": (f"track_embeddings.{name}",)} for name in names}


# What says when a row of a day's embeddings holds, and which training it is of.
_OF_VERSION: Mapping[str, Uses] = {
    **_of_version("version_id", "space_id", "ds"),
    "feature_at": {"value": ("track_embeddings.ds",)},
}

# By table and column; a training's id, its space and how neighbours were searched follow from no column.
INPUTS: Mapping[str, Mapping[str, Uses]] = {
    "track_embeddings": {
        "track_id": {"value": ("sessions.track_id", "tracks.track_id"), "filter": ("sessions.is_bot",)},
        **_columns(("vector", "in_vector", "out_vector", "norm", "source"), _FILLED),
        **_columns(("in_state", "out_state"), _LEARNED),
        "support": {"value": ("sessions.track_id",), **_HUMAN},
        **_columns(("ds", "feature_at"), {"value": ("sessions.ds",)}),
    },
    "user_embeddings": {
        "user_id": {"value": ("sessions.user_id",), **_UNSKIPPED},
        "vector": {**_MEAN, "value": ("track_embeddings.vector", "sessions.played_at")},
        "in_vector": {**_MEAN, "value": ("track_embeddings.in_vector", "sessions.played_at")},
        "support": {**_MEAN, "value": ("sessions.track_id",)},
        "weight": {**_MEAN, "value": ("sessions.played_at",)},
        **_OF_VERSION,
    },
    "similar_tracks": {
        "track_id": {"value": ("track_embeddings.track_id",), "filter": _VECTORS},
        "neighbours": {"value": ("track_embeddings.track_id", "track_embeddings.vector"), "filter": _VECTORS},
        "scores": {"value": ("track_embeddings.vector",), "filter": _VECTORS},
        **_OF_VERSION,
    },
    "candidates": {
        "user_id": {"value": ("sessions.user_id",), **_UNSKIPPED},
        **_columns(("track_ids", "scores", "origins"), _CHOSEN),
        **_OF_VERSION,
    },
    "track_semantic_ids": {
        "track_id": {"value": ("track_embeddings.track_id",), "filter": ("track_embeddings.vector",)},
        **_columns(("codes", "codebook_id"), {"value": ("track_embeddings.vector",)}),
        # equal codes are told apart in the order of ids
        **_columns(
            ("collision", "semantic_id"),
            {"value": ("track_embeddings.vector",), "order": ("track_embeddings.track_id",)},
        ),
        **_OF_VERSION,
    },
    "semantic_codebooks": {
        **_columns(("codebook_id", "centroid"), {"value": ("track_embeddings.vector",)}),
        "tracks": {"value": ("track_embeddings.track_id",), "key": ("track_embeddings.vector",)},
        **_of_version("space_id", "ds"),
    },
}
