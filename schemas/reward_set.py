"""Rewards of plays that come with Segue, and the feature that one of them needs beside the starting set.

In a file of declarations:

    from schemas.reward_set import PLAY_REWARDS, SESSION_STARTS
    from schemas.rewards import Rewards
    from schemas.starting_set import *

    USER_FEATURES = USER_FEATURE_GROUP.extend(SESSION_STARTS)
    REWARDS = Rewards(PLAY_REWARDS)
"""

from __future__ import annotations

from schemas.declarations import Feature
from schemas.reward_terms import name_next
from schemas.rewards import Reward

# A listener returns by beginning another session. Different sessions from the play on, which look ahead as well, are
# one where its own only goes on.
SESSION_STARTS = Feature("starts", "count", "play_id", "sessions begun", ("7d",), where="position = 1")

PLAY_REWARDS = (
    # tracks end in silence or are faded over, and players count what is left as not played
    Reward("completed", "completion >= 0.9", "nine tenths of the track were played"),
    # 30 s are a stream to services that pay for them
    Reward("skipped_early", "skipped and ms_played < 30000", "skipped within 30 s"),
    Reward("skipped_late", "skipped and ms_played >= 30000", "skipped after 30 s or more"),
    Reward("saved", "saved", "the track was saved during the play; null where the source has no saves"),
    Reward("replayed_1d", "user_track_features__plays_count_next_1d > 0", "the track was played again", "1d"),
    Reward("returns_7d", "user_features__starts_count_next_7d > 0", "another session began", "7d"),
    Reward(
        "artist_again_30d",
        "user_artist_features__plays_count_next_30d > 0",
        "the artist was played again; null where the play has no artist",
        "30d",
    ),
    Reward(
        "sticky_59d",
        "if(user_track_features__plays_count_90d = 0, 1 + user_track_features__active_days_next_60d, null)",
        "1 and the days with the track, of the 59 after that of the play; null where it is no discovery: the listener "
        "played it in the 90 days before",
        "60d",
        type="bigint",
    ),
    Reward(
        "session_goes_on", "session_features__plays_count_next_1d > 0", "the session had a later play", "1d"
    ),
    Reward(
        "ms_after",
        "session_features__ms_played_sum_next_1d",
        "ms played later in the session",
        "1d",
        "bigint",
    ),
    Reward(
        "completed_to_go",
        "completion >= 0.9",
        "completed plays of the rest of the session, this one too, each weighing 0.9 of the one before",
        "1d",
        "double",
        discount=0.9,
    ),
)

# Of plays of tracks and artists, for `DiscoveryTraces`: as `sticky_59d` has it, and known with the play.
TRACK_DISCOVERED = Reward(
    "discovered",
    "user_track_features__plays_count_90d = 0",
    "the listener had not played the track in the 90 days before",
)
ARTIST_DISCOVERED = Reward(
    "artist_discovered",
    "user_artist_features__plays_count_90d = 0",
    "the listener had not played the artist in the 90 days before; null where the play has no artist",
)


def make_context_left(column: str) -> Reward:
    """Whether the listener left what a play came from: a playlist, an album, a station, a shelf.

    Declare the column that says so before it, by `PlayColumns`: plays have none of their own.

    Args:
        column: null in plays that came from no context, of which nothing is known.
    """
    name = f"`{column}`"
    return Reward(
        "context_left",
        f"case when {name} is null then null"
        f" when {name_next('play_id')} is not null then not {name} <=> `{name_next(column)}`"
        # cut off in a track that the context had not come to the end of; after a whole one, it may have had no other
        " when completion < 0.9 then true end",
        f"the session's next play had another {column}, or none, or there was none and under nine tenths of the track "
        f"were played; null where the play has no {column}, or was played out and was the session's last",
        "1d",
    )
