"""Features and groups to declare in a test: right in all but what the test says."""

from __future__ import annotations

from schemas.declarations import LIFETIME, USER, Feature, FeatureGroup
from schemas.operations import OPERATIONS

OPTIONS = {"per": "track_ms", "k": 3, "at": (0.5,), "edges": (1, 2)}


def input_of(op):
    types = OPERATIONS[op].input_types
    return (
        {"boolean": "skipped", "timestamp": "played_at"}.get(types[0], "ms_played") if types else "track_id"
    )


def feature(op, **overrides):
    options = {name: OPTIONS[name] for name in OPERATIONS[op].options} if op in OPERATIONS else {}
    window = "7d" if op not in OPERATIONS or OPERATIONS[op].longest else LIFETIME
    return Feature(
        **{
            "what": "x",
            "op": op,
            "input": "track_id",
            "meaning": "m",
            "windows": (window,),
            **options,
            **overrides,
        }
    )


def feature_with_input(op, **overrides):
    return feature(op, **{"input": input_of(op), **overrides})


def group(*features, keys=USER, **overrides):
    return FeatureGroup("g_features", keys, "m", features, **overrides)
