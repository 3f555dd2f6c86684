"""One file per spark-submit step; the only place that opens a session, reads or writes.

Importing this package is cheap on purpose: the command's help, the scheduler's file and the
end-to-end test read the steps from here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step: `segue run <name>` here, `spark-submit jobs/<file>.py` on a cluster."""

    name: str
    module: str
    help: str


FLOW: tuple[Step, ...] = (
    Step("ingest-plays", "jobs.ingest_plays", "read a source's plays; set aside what is none"),
    Step("ingest-tracks", "jobs.ingest_tracks", "read a source's catalogue of tracks"),
    Step("build-sessions", "jobs.build_sessions", "cut plays into sessions"),
    Step("build-user-features", "jobs.build_user_features", "what each listener did, per window"),
    Step("build-track-features", "jobs.build_track_features", "how each track was received, per window"),
    Step("build-artist-features", "jobs.build_artist_features", "how each artist was received, per window"),
    Step(
        "build-pair-partials", "jobs.build_pair_partials", "what each listener did with each track and artist"
    ),
    Step("train-track-embeddings", "jobs.train_track_embeddings", "learn item2vec from the sessions"),
    Step("build-user-embeddings", "jobs.build_user_embeddings", "where each listener is among the tracks"),
    Step("build-similar-tracks", "jobs.build_similar_tracks", "the nearest tracks of every track"),
    Step("build-candidates", "jobs.build_candidates", "what a ranker may choose from, per listener"),
    Step("build-semantic-ids", "jobs.build_semantic_ids", "tracks as short words of codes"),
    Step("release-tables", "jobs.release_tables", "make one consistent snapshot of all tables current"),
)

# Steps that can be run but are no part of the nightly flow.
EXTRA: tuple[Step, ...] = (
    Step(
        "evaluate-track-embeddings",
        "jobs.evaluate_track_embeddings",
        "how good a published space is, against another",
    ),
    Step("generate-plays", "jobs.generate_plays", "make up plays of any size, with known tastes"),
)
