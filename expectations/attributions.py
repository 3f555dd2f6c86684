"""What is expected of attributions."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from expectations.plays import IS_OF_ITS_DAY
from expectations.suite import Suite
from schemas.attributions import ATTRIBUTIONS, OF_IMPRESSION, OF_PLAY


def build_attribution_suite() -> Suite:
    """When it is needed: most roots have no attributions, and each expectation takes time to make."""
    return build_suite(
        ATTRIBUTIONS,
        expect_rows("ds", "ds = to_date(played_at)", "the day of played_at, in UTC", reason=IS_OF_ITS_DAY),
        expect_rows(
            "shown_at",
            "shown_at <= played_at",
            "not after the play",
            reason="what is shown after a play has not led to it, and would be rewarded for it",
        ),
        expect_rows(
            "delay_ms",
            "delay_ms = (unix_micros(played_at) - unix_micros(shown_at)) div 1000",
            "from shown_at to played_at",
            reason="rules and rewards weigh a play by it",
        ),
        # what sources lack was said where they were read
        optional=(*OF_IMPRESSION, *OF_PLAY),
        # on some days nothing that was shown is played
        row_bound=None,
    )
