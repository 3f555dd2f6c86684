"""The feature groups that come with Segue: to take whole, to extend, or to leave out.

In a file of declarations of your own:

    from schemas.declarations import Feature
    from schemas.starting_set import TRACK_FEATURE_GROUP, USER_FEATURE_GROUP   # the others are left out

    USER_FEATURE_GROUP = USER_FEATURE_GROUP.extend(Feature("longest", "max", "ms_played", "longest play in ms"))
"""

from __future__ import annotations

from schemas.artist_features import ARTIST_FEATURE_GROUP
from schemas.pair_features import USER_ARTIST_FEATURE_GROUP, USER_TRACK_FEATURE_GROUP
from schemas.track_features import TRACK_FEATURE_GROUP
from schemas.user_features import USER_FEATURE_GROUP

# In the order in which the steps of the flow make them.
__all__ = [
    "ARTIST_FEATURE_GROUP",
    "TRACK_FEATURE_GROUP",
    "USER_ARTIST_FEATURE_GROUP",
    "USER_FEATURE_GROUP",
    "USER_TRACK_FEATURE_GROUP",
]

STARTING_SET = (
    USER_FEATURE_GROUP,
    TRACK_FEATURE_GROUP,
    ARTIST_FEATURE_GROUP,
    USER_TRACK_FEATURE_GROUP,
    USER_ARTIST_FEATURE_GROUP,
)
