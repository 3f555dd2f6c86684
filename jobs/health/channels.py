"""Where alerts go: a webhook that takes what Slack takes, a file for Prometheus, a file of JSON."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any

from jobs.errors import WrongUsage
from jobs.health.alerts import Alert
from jobs.health.freshness import format_age
from jobs.health.indicators import WRONG, Indicator
from segue.show import cut, escape
from segue.small_files import replace_file
from segue.storage import filesystem

# Seconds before each further try: a night does not wait minutes for a chat.
WAITS_S = (1, 4)
TIMEOUT_S = 10
# A message is read on a phone.
MOST_LINES, LONGEST_LINE = 20, 500


class NotDelivered(Exception):
    """The webhook took nothing; the text has no part of its address, which is a secret."""


# --- webhook


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    # of a POST that is sent on it makes a GET, which any page answers with 200
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def post_alerts(address: str, alerts: Sequence[Alert], project: str) -> None:
    """All that is due, as one message.

    Raises:
        NotDelivered: after three attempts.
    """
    body = json.dumps({"text": format_message(alerts, project)}).encode()
    for wait in (*WAITS_S, None):
        try:
            _post(address, body)
            return
        except NotDelivered:
            if wait is None:
                raise
            time.sleep(wait)


def _post(address: str, body: bytes) -> None:
    try:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            answer.read()
    except urllib.error.HTTPError as problem:
        raise NotDelivered(f"it answered {problem.code}") from None
    except (OSError, HTTPException, ValueError) as problem:
        # texts of these may repeat the address, or a part of it
        reason = getattr(problem, "reason", problem)
        words = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
        raise NotDelivered(words) from None


def format_message(alerts: Sequence[Alert], project: str) -> str:
    """New and changed alerts before those that are over, a line each."""
    lines = [_format_line(each) for each in sorted(alerts, key=lambda each: each.ended is not None)]
    left = len(lines) - MOST_LINES
    more = [f"and {left} more: `segue health`"] if left > 0 else []
    return "\n".join([f"*{_quote(project)}*", *lines[:MOST_LINES], *more])


def _format_line(alert: Alert) -> str:
    about = f"*{alert.kind}* {_quote(alert.subject)}"
    if alert.ended is not None:
        took = datetime.fromisoformat(alert.ended) - datetime.fromisoformat(alert.since)
        return f":white_check_mark: {about}: over, after {format_age(took)}"
    again = " (changed)" if alert.sent is not None else ""
    to_do = f" Look: `{_quote(alert.to_do)}`, {alert.page}" if alert.to_do else f" See {alert.page}"
    return f":red_circle: {about}{again}: {_quote(alert.what)}.{to_do}"


def _quote(text: str) -> str:
    """As Slack wants it: three characters would begin a link, a mention or an entity."""
    plain = cut(escape(" ".join(text.split())), LONGEST_LINE)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# --- files


def write_json(path: str, alerts: Sequence[Alert], project: str, now: datetime) -> None:
    """Every alert that there is now."""
    current = [
        {k: v for k, v in asdict(each).items() if k not in ("sent", "ended", "state")}
        for each in alerts
        if each.ended is None
    ]
    content = {"project": project, "checked_at": now.isoformat(timespec="seconds"), "alerts": current}
    files, inner = filesystem(path)
    replace_file(files, inner, json.dumps(content, indent=1))


def write_prometheus(path: str, indicators: Sequence[Indicator], project: str, now: datetime) -> None:
    """What is measured, for the textfile collector of Prometheus' node exporter.

    Raises:
        WrongUsage: its library is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
    except ImportError:
        raise WrongUsage(
            "prometheus_file is set, and its library is not installed: pip install 'segue-platform[alerts]'"
        ) from None
    registry, labels = CollectorRegistry(), ("project", "kind", "subject")

    def gauge(name: str, meaning: str, names: Sequence[str] = labels) -> Any:
        return Gauge(f"segue_health_{name}", meaning, names, registry=registry)

    wrong = gauge("wrong", "1 where something is wrong")
    values = gauge("value", "what was measured", (*labels, "unit"))
    bounds = gauge("bound", "what the value may be", (*labels, "unit"))
    for each in indicators:
        about = (project, each.kind, each.subject)
        wrong.labels(*about).set(each.status == WRONG)
        for measured, number in ((values, each.value), (bounds, each.bound)):
            if number is not None:
                measured.labels(*about, each.unit).set(number)
    gauge("checked_timestamp_seconds", "when all this was measured", ("project",)).labels(project).set(
        now.timestamp()
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # beside it first, so that the collector never reads half a file
    write_to_textfile(path, registry)
