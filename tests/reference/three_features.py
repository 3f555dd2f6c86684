"""Three of the listeners' features, for tests whose subject is not the features."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expectations import feature_groups, lineage
from jobs import build_features
from schemas import CONTRACTS, Contract, FeatureGroup
from schemas.user_features import USER_FEATURE_GROUP

# One of sums, one of what no partial holds, one of all time. All of them make plans that take seconds to compile.
_NAMES = ("plays_count", "tracks_distinct", "plays_days_since_first")
THREE_FEATURES = replace(
    USER_FEATURE_GROUP,
    features=tuple(each for each in USER_FEATURE_GROUP.features if f"{each.what}_{each.op}" in _NAMES),
)


def declare_three_features(patch: pytest.MonkeyPatch, *groups: FeatureGroup) -> None:
    """What `build-user-features`, or the steps of `groups`, make, publish and audit until `patch` is undone."""
    groups = groups or (THREE_FEATURES,)
    for module in (build_features, feature_groups, lineage):
        patch.setattr(module, "FEATURE_GROUPS", groups)
    for contract in (each for group in groups for each in _contracts(group)):
        patch.setitem(CONTRACTS, contract.name, contract)


def _contracts(group: FeatureGroup) -> tuple[Contract, ...]:
    return (group.partials_contract(), *([group.contract()] if group.daily else []))
