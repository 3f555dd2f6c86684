"""Which alerts are new, changed or over since they were last sent: `quality/alerts.json` remembers it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from jobs.health.indicators import WRONG, Indicator
from jobs.messages import LOG
from jobs.publishing.warehouse import Warehouse
from segue.small_files import read_file

PATH = ("quality", "alerts.json")
# By key and state.
Known = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Alert:
    """One kind of trouble with one subject, from `since` until `ended`; `sent` is the state that was sent last."""

    kind: str
    subject: str
    what: str
    to_do: str
    page: str
    state: str
    since: str
    sent: str | None = None
    ended: str | None = None

    @property
    def key(self) -> str:
        return f"{self.kind} {self.subject}"

    @property
    def is_due(self) -> bool:
        """Whether there is something about it to be sent."""
        return self.ended is not None or self.sent != self.state

    def settle(self) -> Alert:
        """After it was sent."""
        return replace(self, sent=self.state)


def update_alerts(known: Iterable[Alert], indicators: Iterable[Indicator], now: datetime) -> list[Alert]:
    """Every alert that there is, and those that are over and of which that was not sent yet.

    While something cannot be read nothing is over: what is not seen may still be there.
    """
    before, instant = {each.key: each for each in known}, now.isoformat(timespec="seconds")
    wrong = [each for each in indicators if each.status == WRONG]
    current = {each.key: _renew(before.get(each.key), each, instant) for each in wrong}
    gone = [each for key, each in before.items() if key not in current]
    if any(each.kind == "unreadable" for each in wrong):
        return [*current.values(), *gone]
    # one that was never sent ends without a word
    return [
        *current.values(),
        *(replace(each, ended=each.ended or instant) for each in gone if each.sent is not None),
    ]


def _renew(before: Alert | None, indicator: Indicator, instant: str) -> Alert:
    i = indicator
    since, sent = (before.since, before.sent) if before else (instant, None)
    return Alert(i.kind, i.subject, i.what, i.to_do, i.page, i.state, since, sent)


def find_known(alerts: Iterable[Alert]) -> Known:
    """Since when each was there that was sent as it is now."""
    return {(each.key, each.state): each.since for each in alerts if not each.is_due}


def sort_new_first(indicators: Iterable[Indicator], known: Known) -> list[Indicator]:
    """What is wrong and was not sent yet comes before what was; the order is else as it is."""
    return sorted(
        indicators, key=lambda i: (i.status != WRONG, i.status == WRONG and (i.key, i.state) in known)
    )


def settle_alerts(alerts: Iterable[Alert]) -> list[Alert]:
    """After all that was due was sent: those that are over are gone."""
    return [each.settle() for each in alerts if each.ended is None]


def load_alerts(warehouse: Warehouse) -> list[Alert]:
    """Those that were known last; none, and a warning, where the file is no such list: twice is better than never."""
    path = warehouse.path(*PATH)
    try:
        text = read_file(warehouse.files, warehouse.inner(path))
        content: list[dict[str, Any]] = json.loads(text)["alerts"] if text is not None else []
        return [Alert(**each) for each in content]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        LOG.warning("%s cannot be read as a list of alerts; all that there are are sent again", path)
        return []


def save_alerts(warehouse: Warehouse, alerts: Iterable[Alert]) -> None:
    content = {"alerts": [asdict(each) for each in alerts]}
    warehouse.write(warehouse.path(*PATH), json.dumps(content, indent=1))
