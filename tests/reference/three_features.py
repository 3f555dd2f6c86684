"""Three of the listeners' features, for tests whose subject is not the features."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expectations import feature_groups, lineage
from jobs import build_features
from schemas import CONTRACTS, FeatureGroup
from schemas.user_features import USER_FEATURE_GROUP

# One of sums, one of what no partial holds, one of all time. All of them make plans that take seconds to compile.
_NAMES = ("plays_count", "tracks_distinct", "plays_days_since_first")
THREE_FEATURES = replace(
    USER_FEATURE_GROUP,
    features=tuple(each for each in USER_FEATURE_GROUP.features if f"{each.what}_{each.op}" in _NAMES),
)


def declare_three_features(patch: pytest.MonkeyPatch, group: FeatureGroup = THREE_FEATURES) -> None:
    """What `build-user-features` makes, publishes and audits until `patch` is undone."""
    for module in (build_features, feature_groups, lineage):
        patch.setattr(module, "FEATURE_GROUPS", (group,))
    for contract in (group.partials_contract(), group.contract()):
        patch.setitem(CONTRACTS, contract.name, contract)
