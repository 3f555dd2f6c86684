"""Which early signal tells a late one, by days observed: rank correlation, AUC, R² of a ridge and calibration."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from expectations.proxies import format_estimate, render_proxies
from features.proxies.evidence import ProxyError, Signal, find_days
from features.proxies.proxies import REPLICATES, Measurement, Proxy, measure_proxies
from jobs.arguments import parse_days
from jobs.errors import WrongUsage
from jobs.page_files import write_page
from jobs.signal_rows import SignalRows, find_status
from schemas import IMPRESSION_REWARD_TABLES, REWARD_TABLES, ImpressionRewards, Rewards
from segue import show
from segue.builtin_commands import add_root

REWARDS = "play_rewards"
PERFECT = "perfect"
ESTIMATES = ("spearman", "auc", "r2", "slope")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"{__doc__} Intervals of 95 % are of draws of listeners. Rows whose target is not known are counted and left "
        "out. Reads a released table, or a training set with outcomes; without Spark."
    )
    add_root(parser)
    add, column = parser.add_argument, "COLUMN[:DAYS]"
    add("--target", required=True, metavar="COLUMN", help="the late signal, such as sticky_59d")
    early = (
        "early signals; known after the horizon of a reward, the days that a name ends with (plays_next_1d), or "
        "those that are given (streams:1)"
    )
    add("--of", required=True, nargs="+", metavar=column, help=early)
    add("--rows", default=REWARDS, metavar="TABLE|PATH", help="a path has a / in it (default: %(default)s)")
    days = "measure what is known by these days, and traces (default: as signals become known)"
    add("--days", nargs="+", type=parse_days, default=[], metavar="N", help=days)
    add("--segment", metavar="COLUMN", help="also for each of its values")
    add("--listener", default="user_id", metavar="COLUMN", help="whose rows belong together (%(default)s)")
    above = "AUC is of rows with a target above this (default: the median; 0 of true and false)"
    add("--above", type=float, metavar="VALUE", help=above)
    add("--sample", type=_parse_share, metavar="SHARE", help="of the listeners, by a hash (default: all)")
    add("--replicates", type=_parse_count, default=REPLICATES, metavar="N", help="draws (%(default)s)")
    add("--release", metavar="ID", help="the release to read (default: the newest)")
    planted = (
        "a folder of generate-plays: only its discoveries, beside what a perfect reward model would know"
    )
    add("--generated", metavar="FOLDER", help=planted)
    add("--report", metavar="FILE", help="also write tables and plots as one HTML file")
    add("--json", action="store_true", help="one JSON object a line, for programs")


def _parse_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of draws; give 1 to 10000")
    return int(text)


def _parse_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number above 0, up to 1")
    return share


def run(args: argparse.Namespace) -> int:
    plays, known = _read_generated(args) if args.generated else (None, [])
    found, bots = _measure(args, plays)
    lines = [asdict(each) | _describe_known(each, known) for each in found.proxies]
    counts = _count(found, bots)
    if args.report:
        _write_report(args, lines, counts)
    if args.json:
        print(show.format_json_lines(counts | line for line in lines))
    else:
        print(_format(args, found, lines, bots))
    return 0


def _read_generated(args: argparse.Namespace) -> tuple[pa.Array, list[float]]:
    """The plays that are discoveries, and the R² of who knows the generator's rules, after 0, 1 … days.

    Raises:
        WrongUsage: the target is another one, or the folder has no discoveries.
    """
    # it imports the generator, and Spark with that
    from jobs.generated_discoveries import STICKINESS, read_discoveries

    if args.target != STICKINESS:
        raise WrongUsage(f"--generated: the truth is of {STICKINESS}; got --target {args.target}")
    plays, truth = read_discoveries(args.generated)
    return plays, truth["known"]


def _describe_known(proxy: Proxy, known: Sequence[float]) -> dict[str, float]:
    # by the rules it is of all segments
    return {PERFECT: known[proxy.days]} if known and proxy.segment is None else {}


def _measure(args: argparse.Namespace, plays: pa.Array | None) -> tuple[Measurement, int]:
    """Of some plays, or of all; and the rows of bots that are left out.

    Raises:
        WrongUsage: columns of which no proxy can be measured.
    """
    try:
        rows = SignalRows(args.root, args.rows, args.release)
        horizon, status = _find_target(args.target, args.rows, rows.columns)
        signals = list(_add_horizons(args.of, args.rows))
        names = [args.target, *(Signal.parse(each).column for each in signals), args.listener]
        names += [each for each in (args.segment, status) if each]
        table, bots = rows.read(names, args.listener, args.sample, plays)
        found = measure_proxies(
            table,
            args.target,
            signals,
            days_observed=args.days,
            segment=args.segment,
            listener=args.listener,
            above=args.above,
            horizon=horizon,
            status=status,
            replicates=args.replicates,
        )
    except ProxyError as problem:
        raise WrongUsage(str(problem)) from None
    return found, bots


def _add_horizons(signals: Sequence[str], table: str) -> Iterator[str]:
    """A reward is known once its horizon is over, whatever its name says."""
    known = _find_known(table)
    return (f"{each}:{known[each][0]}" if each in known else each for each in signals)


def _find_target(target: str, table: str, columns: Sequence[str]) -> tuple[int | None, str | None]:
    """After how many days it is known, and the column that says whether it is; None where neither is said."""
    if found := _find_known(table).get(target):
        days, status = found
        return days, status if status in columns else None
    return find_days(target), find_status(target, columns)


def _find_known(table: str) -> dict[str, tuple[int, str]]:
    tables: list[Rewards | ImpressionRewards] = [*REWARD_TABLES, *IMPRESSION_REWARD_TABLES]
    return next((each.known for each in tables if each.name == table), {})


def _count(found: Measurement, bots: int) -> dict[str, Any]:
    return {
        "target": found.target,
        "threshold": found.threshold,
        "target_rows": found.rows,
        "target_unknown": found.unknown,
        "nameless": found.nameless,
        "bots": bots,
        "small_segments": found.small_segments,
    }


def _write_report(
    args: argparse.Namespace, lines: Sequence[Mapping[str, Any]], counts: Mapping[str, Any]
) -> None:
    write_page(args.report, render_proxies(lines, counts, f"Proxies of {args.target}"))


# --- what is printed


def _format(
    args: argparse.Namespace, found: Measurement, lines: Sequence[Mapping[str, Any]], bots: int
) -> str:
    parts = [show.escape(each) for each in _format_counts(args, found, bots)]
    header = (
        "signal",
        "days",
        *(["segment"] if args.segment else []),
        "rows",
        *ESTIMATES,
        "error",
        *_list_known(args, PERFECT),
    )
    return "\n\n".join(
        ["\n".join(parts), show.format_table(header, [_list_cells(args, each) for each in lines])]
    )


def _format_counts(args: argparse.Namespace, found: Measurement, bots: int) -> Iterator[str]:
    yield f"{found.target} of {found.rows:,} rows; AUC is of a target above {show.format_cell(found.threshold)}"
    left_out = [
        *(
            (count, f"target {'does not apply' if name == 'ripe' else name}")
            for name, count in found.unknown.items()
        ),
        (found.nameless, f"no {args.listener}"),
        (bots, "bots"),
    ]
    if texts := [f"{count:,} ({why})" for count, why in left_out if count]:
        yield f"left out: {', '.join(texts)}"
    if found.small_segments:
        yield f"{found.small_segments:,} smaller segments are not measured on their own"


def _list_cells(args: argparse.Namespace, line: Mapping[str, Any]) -> list[Any]:
    segment = ["(all)" if line["segment"] is None else line["segment"]] if args.segment else []
    error = f"{line['calibration_error']:.3f}" if line["bins"] else None
    estimates = [format_estimate(line[name]) for name in ESTIMATES]
    return [
        line["signal"],
        line["days"],
        *segment,
        line["rows"],
        *estimates,
        error,
        *_list_known(args, line.get(PERFECT)),
    ]


def _list_known(args: argparse.Namespace, cell: Any) -> list[Any]:
    """A column that is there with --generated alone."""
    return [cell] if args.generated else []
