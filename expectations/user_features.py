"""What is expected of user features; the declarations say most of it."""

from __future__ import annotations

from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations
from expectations.suite import Suite
from expectations.windows import columns_from, feature_expectations
from schemas.user_features import USER_FEATURE_GROUP, USER_FEATURES

SUITE = Suite(
    table=USER_FEATURES.name,
    expectations=(
        *contract_expectations(USER_FEATURES, may_be_unknown=columns_from(USER_FEATURE_GROUP, "saved")),
        *feature_expectations(USER_FEATURE_GROUP),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
