"""What `benchmarks/rewards.py` declares: the rewards that come with Segue, and the feature that they need."""

from schemas.reward_set import PLAY_REWARDS, SESSION_STARTS
from schemas.rewards import Rewards
from schemas.starting_set import USER_ARTIST_FEATURE_GROUP, USER_FEATURE_GROUP, USER_TRACK_FEATURE_GROUP

TRACKS, ARTISTS = USER_TRACK_FEATURE_GROUP, USER_ARTIST_FEATURE_GROUP
USERS = USER_FEATURE_GROUP.select(["plays_count_7d"]).extend(SESSION_STARTS)
REWARDS = Rewards(PLAY_REWARDS)
