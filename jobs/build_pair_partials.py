"""What each listener did with each track and artist, folded by day for training sets to merge."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.build_features import build
from schemas.pair_features import USER_ARTIST_FEATURE_GROUP, USER_TRACK_FEATURE_GROUP


def main(argv: Sequence[str] | None = None) -> int:
    groups = [USER_TRACK_FEATURE_GROUP, USER_ARTIST_FEATURE_GROUP]
    return build(groups, "build-pair-partials", __doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
