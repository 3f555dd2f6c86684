"""What is expected of track features; the declarations say most of it."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations
from expectations.suite import Suite
from expectations.windows import columns_from, feature_expectations
from schemas.track_features import TRACK_FEATURE_GROUP, TRACK_FEATURES

SUITE = Suite(
    table=TRACK_FEATURES.name,
    expectations=(
        *contract_expectations(TRACK_FEATURES, may_be_unknown=columns_from(TRACK_FEATURE_GROUP, "saved")),
        *feature_expectations(TRACK_FEATURE_GROUP),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
