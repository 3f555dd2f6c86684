"""The spark-submit steps, a file each but for feature tables. Nothing else opens a session, reads or writes."""

# Imported without Spark on purpose, so modules are named and not imported: the command's help, the scheduler's
# file and the end-to-end test read the steps from here, and none of these may wait for a session.

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jobs.graph import RELEASES, Step, downstream, list_tables, sort_steps
from schemas import (
    ATTRIBUTION_TABLES,
    EVENT_TABLES,
    FEATURE_GROUPS,
    IMPRESSION_REWARD_TABLES,
    REWARD_TABLES,
    THRESHOLD_TABLES,
    TRACE_TABLES,
    Attributions,
    DiscoveryTraces,
    EventTable,
    FeatureGroup,
    ImpressionRewards,
    Rewards,
    RewardThresholds,
)

__all__ = ["EXTRA", "FLOW", "NIGHTLY", "RECORDS", "TABLES", "Step"]


# Steps of the groups that come with Segue, by table. Pairs have no daily table; one step makes the partials of both.
_STEP_NAMES = {
    "user_features": ("build-user-features", "what each listener did, per window"),
    "track_features": ("build-track-features", "how each track was received, per window"),
    "artist_features": ("build-artist-features", "how each artist was received, per window"),
    "user_track_features": ("build-pair-partials", "what each listener did with each track and artist"),
    "user_artist_features": ("build-pair-partials", "what each listener did with each track and artist"),
}


def _feature_steps(groups: Iterable[FeatureGroup]) -> Iterator[Step]:
    """A step for each group, whoever declares it, but for those that share a name."""
    steps: dict[tuple[str, str], list[FeatureGroup]] = {}
    for group in groups:
        own_name = f"build-{group.tables[-1].replace('_', '-')}", group.meaning.rstrip(".")
        steps.setdefault(_STEP_NAMES.get(group.table, own_name), []).append(group)
    for (name, help_text), of_step in steps.items():
        yield Step(
            name,
            "jobs.build_features",
            help_text,
            arguments=(name,),
            needs=tuple(dict.fromkeys(group.events.name for group in of_step)),
            makes=tuple(table for group in of_step for table in group.tables),
            # not needed: a catalogue that is refused tonight is there from the night before
            uses=("tracks",) if any(group.catalogue_columns for group in of_step) else (),
            takes_days=any(group.daily for group in of_step),
        )


def _ingest_steps(tables: Iterable[EventTable]) -> Iterator[Step]:
    """A step for each table of events that a project declares."""
    for table in tables:
        name = f"ingest-{table.name.replace('_', '-')}"
        yield Step(
            name,
            "jobs.ingest_events",
            f"read a source's {table.name}; set aside what is none",
            arguments=(name,),
            makes=(table.name, table.rejects.name),
            # as of plays
            records=(table.rejects.name,),
            section=table.name,
        )


def _attribution_steps(tables: Iterable[Attributions]) -> Iterator[Step]:
    """A step where a project declares rules; none elsewhere."""
    for table in tables:
        yield Step(
            "build-attributions",
            "jobs.build_attributions",
            "which play each impression led to",
            needs=(table.impressions.name, "sessions"),
            makes=(table.name,),
            uses=("tracks",) if table.catalogue_columns else (),
        )


def _reward_steps(tables: Iterable[Rewards]) -> Iterator[Step]:
    """A step where a project declares rewards; none elsewhere."""
    for table in tables:
        yield Step(
            "build-play-rewards",
            "jobs.build_play_rewards",
            "what each play was worth, as horizons pass",
            needs=("plays", "sessions", *table.list_partials(FEATURE_GROUPS)),
            makes=(table.name,),
        )


def _impression_reward_steps(tables: Iterable[ImpressionRewards]) -> Iterator[Step]:
    for table in tables:
        shown = table.attributions.impressions.name
        # plays and sessions say how far all of this is complete
        yield Step(
            "build-impression-rewards",
            "jobs.build_impression_rewards",
            "what each impression was worth, as horizons pass",
            needs=("plays", "sessions", shown, table.attributions.name, table.rewards.name),
            makes=(table.name,),
        )


def _trace_steps(tables: Iterable[DiscoveryTraces]) -> Iterator[Step]:
    for table in tables:
        partials = dict.fromkeys(item.group.partials_table for item in table.list_items(FEATURE_GROUPS))
        yield Step(
            "build-discovery-traces",
            "jobs.build_discovery_traces",
            "on which days after a discovery its item was played again",
            needs=("plays", "sessions", table.rewards.name, *partials),
            makes=(table.name,),
        )


def _threshold_steps(tables: Iterable[RewardThresholds]) -> Iterator[Step]:
    for table in tables:
        yield Step(
            "build-reward-thresholds",
            "jobs.build_reward_thresholds",
            "from where on a reward is high, by groups",
            needs=(table.rewards.name, "sessions"),
            makes=(table.name,),
            uses=("tracks",),
        )


# What runs before what follows from `needs`, `uses` and `makes`; where these leave it open, it is as here.
_BUILDS = (
    Step(
        "ingest-plays",
        "jobs.ingest_plays",
        "read a source's plays; set aside what is none, or too late",
        makes=("plays", "late_plays", "rejected_plays"),
        # published even where the gate refuses the plays: they show why
        records=("late_plays", "rejected_plays"),
        section="plays",
    ),
    Step(
        "ingest-tracks",
        "jobs.ingest_tracks",
        "read a source's catalogue of tracks; set aside what is none, and keep what changed",
        makes=("tracks", "rejected_tracks", "track_changes"),
        # of the day when they were read, as nothing else is
        records=("rejected_tracks", "track_changes"),
        section="tracks",
    ),
    Step(
        "build-sessions",
        "jobs.build_sessions",
        "cut plays into sessions",
        needs=("plays",),
        makes=("sessions",),
    ),
    *_ingest_steps(EVENT_TABLES),
    *_attribution_steps(ATTRIBUTION_TABLES),
    *_feature_steps(FEATURE_GROUPS),
    *_reward_steps(REWARD_TABLES),
    *_impression_reward_steps(IMPRESSION_REWARD_TABLES),
    *_trace_steps(TRACE_TABLES),
    *_threshold_steps(THRESHOLD_TABLES),
    Step(
        "train-track-embeddings",
        "jobs.train_track_embeddings",
        "learn item2vec from the sessions",
        needs=("sessions",),
        makes=("embedding_versions", "track_embeddings"),
        takes_day=True,
        uses=("tracks",),  # a cold track gets a vector from its catalogue row, where there is one
        records=("embedding_versions",),
    ),
    Step(
        "build-user-embeddings",
        "jobs.build_user_embeddings",
        "where each listener is among the tracks",
        needs=("sessions", "track_embeddings"),
        makes=("user_embeddings",),
        takes_day=True,
    ),
    Step(
        "build-similar-tracks",
        "jobs.build_similar_tracks",
        "the nearest tracks of every track",
        needs=("track_embeddings",),
        makes=("similar_tracks",),
        takes_day=True,
    ),
    Step(
        "build-candidates",
        "jobs.build_candidates",
        "what a ranker may choose from, per listener",
        needs=("sessions", "track_embeddings", "similar_tracks"),
        makes=("candidates",),
        takes_day=True,
        uses=("tracks",),
    ),
    Step(
        "build-semantic-ids",
        "jobs.build_semantic_ids",
        "semantic ids: residual-quantised track embeddings",
        needs=("track_embeddings",),
        makes=("semantic_codebooks", "track_semantic_ids"),
        takes_day=True,
    ),
)

# What batches are published to and releases hold: everything but the records about the others.
TABLES: tuple[str, ...] = list_tables(sort_steps(_BUILDS))

FLOW: tuple[Step, ...] = sort_steps(
    (
        *_BUILDS,
        Step(
            "release-tables",
            "jobs.release_tables",
            "make one consistent snapshot of all tables current",
            makes=(RELEASES,),
            uses=TABLES,
        ),
    )
)

# Tables of what the gate refused.
RECORDS: tuple[str, ...] = tuple(table for step in FLOW for table in step.records)

# Tables of which each night has rows. Of other events, of plays that came late or are none, and of those that an
# impression led to, a night may have none.
NIGHTLY = frozenset(("plays", *downstream(FLOW, "plays"))) - {*RECORDS, *downstream(FLOW, "attributions")}

# Steps that can be run but are no part of the nightly flow.
EXTRA: tuple[Step, ...] = (
    Step(
        "evaluate-track-embeddings",
        "jobs.evaluate_track_embeddings",
        "how good a published space is, against another",
        needs=("sessions", "track_embeddings"),
    ),
    Step("generate-plays", "jobs.generate_plays", "make up plays of any size, with known tastes"),
)
