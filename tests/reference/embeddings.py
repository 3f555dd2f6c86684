"""Neighbours, listeners and candidates from their definitions: every pair, play and seed in plain loops."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import count

from features.embeddings.settings import CandidateSettings
from reference.rows import Row, bucket
from reference.windows import midnight_after
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


def neighbours(embeddings: Iterable[Row], asking: str, answering: str, k: int) -> list[Row]:
    """Rows of `similar_tracks` (or the same for the next ones) but `available_at`."""
    told = [row for row in embeddings if row["vector"] is not None]
    found = []
    for row in told:
        scored = [
            (-round(dot(row[asking], other[answering]), 6), other["track_id"])
            for other in told
            if other["track_id"] != row["track_id"]
        ]
        best = sorted(scored, key=lambda pair: (pair[0], pair[1].encode()))[:k]
        lists = {"neighbours": [t for _, t in best], "scores": [float32(-s) for s, _ in best]}
        carried = {name: row[name] for name in ("track_id", "bucket", *of_day(row["ds"]))}
        found.append(carried | lists | {"search": "exact"})
    return found


def attentive(heard: Iterable[Row], day: date) -> list[Row]:
    t = midnight_after(day)
    return [p for p in heard if not p["is_bot"] and p["skipped"] is not True and p["played_at"] < t]


def user_embeddings(
    heard: Iterable[Row], embeddings: Iterable[Row], day: date, half_life: float
) -> list[Row]:
    """Rows of `user_embeddings` but `available_at`."""
    known = {row["track_id"]: row for row in embeddings if row["vector"] is not None}
    plays: dict[str, list[Row]] = defaultdict(list)
    for play in attentive(heard, day):
        if play["track_id"] in known:
            plays[play["user_id"]].append(play)
    rows = []
    for user, listened in plays.items():
        weights = [0.5 ** ((midnight_after(day) - p["played_at"]) / DAY / half_life) for p in listened]
        sums = {
            name: [
                sum(w * known[p["track_id"]][name][i] for w, p in zip(weights, listened, strict=True))
                for i in range(len(known[listened[0]["track_id"]][name]))
            ]
            for name in ("vector", "in_vector")
        }
        weight = sum(weights)
        if math.sqrt(dot(sums["vector"], sums["vector"])) <= 1e-6 * weight:
            continue
        means = {"vector": unit(sums["vector"]), "in_vector": [x / weight for x in sums["in_vector"]]}
        rows.append(
            {"user_id": user, "bucket": bucket(user), "support": len(listened), "weight": weight}
            | of_day(day)
            | means
        )
    return rows


def candidates(
    heard: Sequence[Row],
    embeddings: Iterable[Row],
    following: Iterable[Row],
    similar: Iterable[Row],
    tracks: Iterable[Row],
    day: date,
    settings: CandidateSettings,
) -> list[Row]:
    """Rows of `candidates` but `available_at`."""
    known = {row["track_id"] for row in embeddings if row["vector"] is not None}
    lists = [{row["track_id"]: row for row in rows} for rows in (following, similar)]
    catalogue = {row["track_id"]: row for row in tracks}
    rows = []
    for user in sorted({play["user_id"] for play in heard}):
        shares = seeds([p for p in heard if p["user_id"] == user], known, day, settings)
        barred = just_heard([p for p in heard if p["user_id"] == user], day, settings)
        if not settings.explicit:
            barred |= {track for track, row in catalogue.items() if row["explicit"]}
        ranked = [ranking(shares, neighbours_of, barred) for neighbours_of in lists]
        chosen = cut(turns(*ranked), catalogue, settings)
        if chosen:
            named = dict(
                zip(("track_ids", "scores", "origins"), map(list, zip(*chosen, strict=True)), strict=True)
            )
            rows.append({"user_id": user, "bucket": bucket(user)} | of_day(day) | named)
    return rows


def seeds(plays: Sequence[Row], known: set[str], day: date, settings: CandidateSettings) -> dict[str, float]:
    last: dict[str, Row] = {}
    for play in sorted(attentive(plays, day), key=lambda p: p["played_at"]):
        if play["track_id"] in known:
            last[play["track_id"]] = play["played_at"]
    newest = sorted(last.items(), key=lambda pair: (midnight_after(day) - pair[1], pair[0]))[: settings.seeds]
    weights = {t: 0.5 ** ((newest[0][1] - at) / DAY / settings.half_life_days) for t, at in newest}
    return {track: weight / sum(weights.values()) for track, weight in weights.items()}


def just_heard(plays: Iterable[Row], day: date, settings: CandidateSettings) -> set[str]:
    t = midnight_after(day)
    since = t - timedelta(hours=settings.recent_hours)
    return {p["track_id"] for p in plays if not p["is_bot"] and since <= p["played_at"] < t}


def ranking(shares: dict[str, float], lists: dict[str, Row], barred: set[str]) -> list[tuple[str, float]]:
    scores: dict[str, float] = defaultdict(float)
    for seed, share in ((seed, share) for seed, share in shares.items() if seed in lists):
        for track, score in zip(lists[seed]["neighbours"], lists[seed]["scores"], strict=True):
            if score > 0 and track not in barred:
                scores[track] += share * score
    return sorted(((t, round(s, 6)) for t, s in scores.items()), key=lambda pair: (-pair[1], pair[0]))


def turns(
    following: list[tuple[str, float]], similar: list[tuple[str, float]]
) -> list[tuple[str, float, str]]:
    """One of each in turn, until both are out of tracks; a track that had its turn is passed over."""
    order: list[tuple[str, float, str]] = []
    for n in count():
        if n >= max(len(following), len(similar)):
            return order
        for ranked, origin in ((following, "next_track"), (similar, "similar_to_recent")):
            if n < len(ranked) and ranked[n][0] not in {track for track, _, _ in order}:
                order.append((*ranked[n], origin))
    return order


def cut(
    order: list[tuple[str, float, str]], catalogue: dict[str, Row], settings: CandidateSettings
) -> list[tuple[str, float, str]]:
    kept, of_artist = [], defaultdict(int)
    for track, score, origin in order:
        artist = catalogue.get(track, {}).get("artist_id")
        of_artist[artist] += 1
        if artist is None or of_artist[artist] <= settings.per_artist:
            kept.append((track, score, origin))
    return kept[: settings.per_user]
