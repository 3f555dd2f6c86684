"""The report of proxies: which early signal tells a late one, by days observed, and how well predictions hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from expectations.charts.curves import Spot, draw_curves
from expectations.pages import NOTHING, shared_environment
from expectations.wording import format_number

# Of curves, as many as have a colour; all are in the table.
MOST_CURVES = 6
DAYS = "days observed"
MEASURES = {
    "r2": "R² of a ridge",
    "spearman": "Rank correlation (Spearman)",
    "auc": "AUC, of a target above the threshold",
}

Row = Mapping[str, Any]


def render_proxies(rows: Sequence[Row], counts: Row, title: str) -> str:
    """One HTML page, complete in itself.

    Args:
        rows: a row per signal, day and segment, those of all rows first, then the best: signal, days, segment (None for
            all rows), rows, listeners, unknown, calibration_error, the estimates spearman, auc, r2 and slope (each
            value, low and high), bins (rows, predicted, actual) and, of generated plays, the perfect r2.
        counts: target, threshold, target_rows, target_unknown (rows by status), nameless, bots, small_segments.
    """
    all_rows = [row for row in rows if row["segment"] is None]
    return (
        shared_environment()
        .get_template("proxies.html")
        .render(
            title=title,
            counts=counts,
            charts=[*_draw_measures(all_rows), *_draw_calibration(all_rows), *_draw_segments(rows)],
            rows=rows,
            estimate=format_estimate,
            error=lambda row: (
                NOTHING if math.isnan(value := row["calibration_error"]) else format_number(value)
            ),
        )
    )


def format_estimate(estimate: Mapping[str, float]) -> str:
    """The value, and its interval where there is one."""
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if not math.isfinite(value):
        return NOTHING
    interval = f" [{low:.3f}, {high:.3f}]" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{value:.3f}{interval}"


def _draw_measures(rows: Sequence[Row]) -> list[Markup]:
    return [
        draw_curves(words, _list_curves(rows, measure) | (_list_known(rows) if measure == "r2" else {}), DAYS)
        for measure, words in MEASURES.items()
    ]


def _list_known(rows: Sequence[Row]) -> dict[str, list[Spot]]:
    """What the rules of generated plays say; nothing of other plays."""
    days = {row["days"]: row["perfect"] for row in rows if "perfect" in row}
    return {"a perfect reward model": [Spot(*each) for each in days.items()]} if days else {}


def _draw_segments(rows: Sequence[Row]) -> list[Markup]:
    """R² of the best signals in each segment: a signal can tell much of one and nothing of another."""
    segments = list(dict.fromkeys(row["segment"] for row in rows if row["segment"] is not None))
    return [
        draw_curves(
            f"{MEASURES['r2']}: {segment}",
            _list_curves([row for row in rows if row["segment"] == segment], "r2"),
            DAYS,
        )
        for segment in segments
    ]


def _list_curves(rows: Sequence[Row], measure: str) -> dict[str, list[Spot]]:
    """Of the best signals, by days observed."""
    best = list(dict.fromkeys(row["signal"] for row in rows))[:MOST_CURVES]
    return {signal: [_to_spot(row, measure) for row in rows if row["signal"] == signal] for signal in best}


def _draw_calibration(rows: Sequence[Row]) -> list[Markup]:
    curves = {
        f"{row['signal']}, {row['days']} d": [Spot(each["predicted"], each["actual"]) for each in row["bins"]]
        for row in rows[:MOST_CURVES]
    }
    return [draw_curves("Calibration: what came of what was predicted", curves, "predicted", diagonal=True)]


def _to_spot(row: Row, measure: str) -> Spot:
    estimate = row[measure]
    return Spot(row["days"], estimate["value"], estimate["low"], estimate["high"])
