"""What `benchmarks/rewards.py` declares: the rewards that come with Segue, the feature that they need, and traces."""

from schemas.discovery_traces import DiscoveryTraces
from schemas.reward_set import PLAY_REWARDS, SESSION_STARTS, TRACK_DISCOVERED
from schemas.rewards import Rewards
from schemas.starting_set import USER_ARTIST_FEATURE_GROUP, USER_FEATURE_GROUP, USER_TRACK_FEATURE_GROUP

TRACKS, ARTISTS = USER_TRACK_FEATURE_GROUP, USER_ARTIST_FEATURE_GROUP
USERS = USER_FEATURE_GROUP.select(["plays_count_7d"]).extend(SESSION_STARTS)
REWARDS = Rewards((*PLAY_REWARDS, TRACK_DISCOVERED))
TRACES = DiscoveryTraces(REWARDS)
