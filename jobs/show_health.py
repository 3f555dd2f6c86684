"""What is wrong with what readers have, the worst first and in words; and alerts of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from jobs.errors import JobError, WrongUsage, first_line
from jobs.health.alerts import Alert, load_alerts, save_alerts, settle_alerts, update_alerts
from jobs.health.channels import NotDelivered, post_alerts, write_json, write_prometheus
from jobs.health.examine import examine
from jobs.health.indicators import WRONG, Indicator, sort_urgent_first
from jobs.health.root import Root, open_root
from jobs.messages import LOG, log_to
from jobs.owners import find_contact
from jobs.plan import CHANGES
from segue import show
from segue.builtin_commands import add_root
from segue.project import find_project
from segue.project_file import ALERTS

# As of `segue plan --exit-code`: nothing failed, and somebody should look.
SOMETHING_WRONG = CHANGES
CHANNELS = ("webhook", "prometheus_file", "json_file")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"{__doc__} Looks at promises of [slo], the schedule, lags of the newest release, refused batches, rows "
        "and values of the newest day against the weeks before, skew, late plays, maintenance and the disk. Ends with "
        f"{SOMETHING_WRONG} if anything is wrong."
    )
    add_root(parser)
    notify = "also send what is new, changed or over since the last time to what [alerts] names"
    parser.add_argument("--notify", action="store_true", help=notify)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(args: argparse.Namespace) -> int:
    channels = _find_channels() if args.notify else {}
    root = open_root(args.root)
    indicators = sort_urgent_first(examine(root))
    if args.json:
        print(show.format_json_lines(asdict(each) | {"page": each.page} for each in indicators))
    else:
        print(_format(root, indicators))
    if args.notify:
        log_to(root.warehouse)
        notify(root, indicators, channels)
    return SOMETHING_WRONG if any(each.status == WRONG for each in indicators) else 0


# --- what is printed


def _format(root: Root, indicators: Sequence[Indicator]) -> str:
    wrong = [each for each in indicators if each.status == WRONG]
    count = (
        "nothing is wrong" if not wrong else f"{len(wrong)} thing{'s are' if len(wrong) > 1 else ' is'} wrong"
    )
    head = f"{count} under {root.warehouse.root}, {show.format_cell(root.now)}"
    parts = [show.escape(head), *map(_format_wrong, wrong)]
    others = [(i.status, i.kind, i.subject, i.what) for i in indicators if i.status != WRONG]
    if others:
        parts.append(show.format_table(("", "kind", "of", "measured"), others))
    return "\n\n".join(parts)


def _format_wrong(indicator: Indicator) -> str:
    """What, what to do, where more is and who answers for it: three short lines."""
    subject, what = show.format_cell(indicator.subject), show.format_cell(indicator.what)
    to_do = f"\n  look: {show.format_cell(indicator.to_do)}" if indicator.to_do else ""
    owner = find_contact(indicator.subject)
    page = f"{indicator.page}; owner: {show.format_cell(owner)}" if owner else indicator.page
    return f"{indicator.kind.upper()} {subject}: {what}{to_do}\n  page: {page}"


# --- alerts


def _find_channels() -> dict[str, str]:
    """What is set of [alerts].

    Raises:
        WrongUsage: nothing is.
    """
    values = {name: find_project().resolve(f"{ALERTS}.{name}").value for name in CHANNELS}
    channels = {name: value for name, value in values.items() if value is not None}
    if not channels:
        raise WrongUsage(f"--notify: [{ALERTS}] of segue.toml names nobody; set {', '.join(CHANNELS)} there")
    return channels


def notify(root: Root, indicators: Sequence[Indicator], channels: dict[str, str]) -> None:
    """Writes the files and posts what is due. What fails is said, and hides nothing else.

    Raises:
        WrongUsage: a library is missing.
    """
    project = find_project().resolve("name").value or "Segue"
    alerts = update_alerts(load_alerts(root.warehouse), indicators, root.now)
    if "webhook" in channels:
        alerts = _post(channels["webhook"], alerts, project)
    # before the files: one that cannot be written must not have alerts sent twice
    _try("what was sent", lambda: save_alerts(root.warehouse, alerts))
    writers: dict[str, Callable[[str], None]] = {
        "json_file": lambda path: write_json(path, alerts, project, root.now),
        "prometheus_file": lambda path: write_prometheus(path, indicators, project, root.now),
    }
    for name, write in writers.items():
        if name in channels:
            _try(name, lambda write=write, name=name: write(channels[name]))  # type: ignore[misc]


def _post(address: str, alerts: list[Alert], project: str) -> list[Alert]:
    """The alerts, settled where they could be delivered."""
    due = [each for each in alerts if each.is_due]
    if not due:
        return alerts
    try:
        post_alerts(address, due, project)
        return settle_alerts(alerts)
    except NotDelivered as problem:
        LOG.warning(
            "the webhook took none of %d alerts: %s; they are sent with the next run", len(due), problem
        )
        return alerts


def _try(what: str, write: Callable[[], Any]) -> None:
    try:
        write()
    except (OSError, JobError) as problem:
        if isinstance(problem, WrongUsage):
            raise
        LOG.warning("%s cannot be written: %s", what, first_line(problem))
