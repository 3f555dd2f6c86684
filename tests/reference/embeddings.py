"""Neighbours, listeners and candidates from their definitions: every pair, play and seed in plain loops."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import count

from features.embeddings.settings import CandidateSettings
from reference.rows import Row, bucket, midnight_after
from reference.worlds import DAY

VERSION = {"version_id": "v1", "space_id": "s1"}


def embedding(track_id: str, ds: date, vector: Sequence[float] | None, **overrides: object) -> Row:
    """A row of `track_embeddings`; one vector, scaled to length 1, stands for all three unless overridden."""
    row: Row = {
        "track_id": track_id,
        **of_day(ds),
        "vector": unit(vector) if vector is not None else None,
        "in_vector": vector,
        "out_vector": vector,
        "norm": None,
        "support": 1,
        "source": "none" if vector is None else "learned",
        "in_state": None,
        "out_state": None,
        "bucket": bucket(track_id),
    }
    return row | overrides


def of_day(ds: date) -> Row:
    return {"feature_at": midnight_after(ds), "ds": ds, **VERSION}


def unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(dot(vector, vector))
    return [x / length for x in vector] if length else [0.0 for _ in vector]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def float32(x: float) -> float:
    return array("f", [x])[0]


def neighbours(embeddings: Iterable[Row], query_column: str, item_column: str, k: int) -> list[Row]:
    """Rows of `similar_tracks` (or the same for the next ones) but `available_at`."""
    embedded_rows = [row for row in embeddings if row["vector"] is not None]
    lists = []
    for row in embedded_rows:
        score_pairs = [
            (-round(dot(row[query_column], other[item_column]), 6), other["track_id"])
            for other in embedded_rows
            if other["track_id"] != row["track_id"]
        ]
        best = sorted(score_pairs, key=lambda pair: (pair[0], pair[1].encode()))[:k]
        ranking_columns = {"neighbours": [t for _, t in best], "scores": [float32(-s) for s, _ in best]}
        key_columns = {name: row[name] for name in ("track_id", "bucket", *of_day(row["ds"]))}
        lists.append(key_columns | ranking_columns | {"search": "exact"})
    return lists


def select_attentive(plays: Iterable[Row], day: date) -> list[Row]:
    t = midnight_after(day)
    return [p for p in plays if not p["is_bot"] and p["skipped"] is not True and p["played_at"] < t]


def user_embeddings(
    plays: Iterable[Row], embeddings: Iterable[Row], day: date, half_life: float
) -> list[Row]:
    """Rows of `user_embeddings` but `available_at`."""
    rows_by_track = {row["track_id"]: row for row in embeddings if row["vector"] is not None}
    plays_by_user: dict[str, list[Row]] = defaultdict(list)
    for play in select_attentive(plays, day):
        if play["track_id"] in rows_by_track:
            plays_by_user[play["user_id"]].append(play)
    rows = []
    for user, user_plays in plays_by_user.items():
        weights = [0.5 ** ((midnight_after(day) - p["played_at"]) / DAY / half_life) for p in user_plays]
        sums = {
            name: [
                sum(
                    w * rows_by_track[p["track_id"]][name][i]
                    for w, p in zip(weights, user_plays, strict=True)
                )
                for i in range(len(rows_by_track[user_plays[0]["track_id"]][name]))
            ]
            for name in ("vector", "in_vector")
        }
        weight = sum(weights)
        if math.sqrt(dot(sums["vector"], sums["vector"])) <= 1e-6 * weight:
            continue
        means = {"vector": unit(sums["vector"]), "in_vector": [x / weight for x in sums["in_vector"]]}
        rows.append(
            {"user_id": user, "bucket": bucket(user), "support": len(user_plays), "weight": weight}
            | of_day(day)
            | means
        )
    return rows


def candidates(
    plays: Sequence[Row],
    embeddings: Iterable[Row],
    following: Iterable[Row],
    similar: Iterable[Row],
    tracks: Iterable[Row],
    day: date,
    settings: CandidateSettings,
) -> list[Row]:
    """Rows of `candidates` but `available_at`."""
    embedded_tracks = {row["track_id"] for row in embeddings if row["vector"] is not None}
    lists = [{row["track_id"]: row for row in rows} for rows in (following, similar)]
    catalogue = {row["track_id"]: row for row in tracks}
    rows = []
    for user in sorted({play["user_id"] for play in plays}):
        shares = seeds([p for p in plays if p["user_id"] == user], embedded_tracks, day, settings)
        excluded_tracks = recent_tracks([p for p in plays if p["user_id"] == user], day, settings)
        if not settings.explicit:
            excluded_tracks |= {track for track, row in catalogue.items() if row["explicit"]}
        rankings = [ranking(shares, neighbours_of, excluded_tracks) for neighbours_of in lists]
        choices = cap_artists(interleave(*rankings), catalogue, settings)
        if choices:
            columns = dict(
                zip(("track_ids", "scores", "origins"), map(list, zip(*choices, strict=True)), strict=True)
            )
            rows.append({"user_id": user, "bucket": bucket(user)} | of_day(day) | columns)
    return rows


def seeds(
    plays: Sequence[Row], embedded_tracks: set[str], day: date, settings: CandidateSettings
) -> dict[str, float]:
    last_played_at: dict[str, Row] = {}
    for play in sorted(select_attentive(plays, day), key=lambda p: p["played_at"]):
        if play["track_id"] in embedded_tracks:
            last_played_at[play["track_id"]] = play["played_at"]
    newest = sorted(last_played_at.items(), key=lambda pair: (midnight_after(day) - pair[1], pair[0]))[
        : settings.seeds
    ]
    weights = {t: 0.5 ** ((newest[0][1] - at) / DAY / settings.half_life_days) for t, at in newest}
    return {track: weight / sum(weights.values()) for track, weight in weights.items()}


def recent_tracks(plays: Iterable[Row], day: date, settings: CandidateSettings) -> set[str]:
    t = midnight_after(day)
    since = t - timedelta(hours=settings.recent_hours)
    return {p["track_id"] for p in plays if not p["is_bot"] and since <= p["played_at"] < t}


def ranking(
    shares: dict[str, float], lists: dict[str, Row], excluded_tracks: set[str]
) -> list[tuple[str, float]]:
    scores: dict[str, float] = defaultdict(float)
    for seed, share in ((seed, share) for seed, share in shares.items() if seed in lists):
        for track, score in zip(lists[seed]["neighbours"], lists[seed]["scores"], strict=True):
            if score > 0 and track not in excluded_tracks:
                scores[track] += share * score
    return sorted(((t, round(s, 6)) for t, s in scores.items()), key=lambda pair: (-pair[1], pair[0]))


def interleave(
    following: list[tuple[str, float]], similar: list[tuple[str, float]]
) -> list[tuple[str, float, str]]:
    """One of each in turn, until both are out of tracks; a track that had its turn is passed over."""
    order: list[tuple[str, float, str]] = []
    for n in count():
        if n >= max(len(following), len(similar)):
            return order
        for ranking, origin in ((following, "next_track"), (similar, "similar_to_recent")):
            if n < len(ranking) and ranking[n][0] not in {track for track, _, _ in order}:
                order.append((*ranking[n], origin))
    return order


def cap_artists(
    order: list[tuple[str, float, str]], catalogue: dict[str, Row], settings: CandidateSettings
) -> list[tuple[str, float, str]]:
    choices, count_by_artist = [], defaultdict(int)
    for track, score, origin in order:
        artist = catalogue.get(track, {}).get("artist_id")
        count_by_artist[artist] += 1
        if artist is None or count_by_artist[artist] <= settings.per_artist:
            choices.append((track, score, origin))
    return choices[: settings.per_user]
