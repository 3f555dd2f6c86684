"""What each listener did in the last day, week and month, for every day asked for."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.build_features import build
from schemas.user_features import USER_FEATURE_GROUP


def main(argv: Sequence[str] | None = None) -> int:
    return build([USER_FEATURE_GROUP], "build-user-features", __doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
