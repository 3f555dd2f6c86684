"""How each track was received in the last day, week and month, for every day asked for."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.build_features import build
from schemas.track_features import TRACK_FEATURE_GROUP


def main(argv: Sequence[str] | None = None) -> int:
    return build([TRACK_FEATURE_GROUP], "build-track-features", __doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
