"""A month of the demo's world with ten bad nights: what somebody on call sees first on each, and the site of them all.

Without its bots: on one day in five they play two plays of five, and such days are rightly volume alerts of their own.

    python benchmarks/month.py --out month      # about ten minutes, with Spark

The first four weeks are released. Then a night is run for each day that is left; ten of them have a fault. After each
night `segue health` must name the fault, and nothing else; it is mended, and after a night without a fault no alert may
be left. `month/site` is the site as it is at the end, and `month/site-N` as it was on the morning after night N.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import partial
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests"), str(TOP / "benchmarks")]

from drill import SKIPPED, run  # noqa: E402

FIRST = date(2026, 1, 5)
DAYS, GOOD_DAYS = 45, 29
# Each listener's and track's features of each night are what people look at; pairs and artists take as long again.
SKIPPED_HERE = tuple(each for each in SKIPPED if each not in ("build-user-features", "build-track-features"))
PROJECT = """
name = "month"
source = "world/source.toml"
input = ["landing"]
catalogue = ["catalogue"]
[slo]
plays = "24h"
"""
# Long before the next delivery, and late enough for the last one.
MORNING = clock(4, 30, tzinfo=UTC)

Row = dict[str, str]
Change = Callable[[Row], Iterable[Row]]


@dataclass(frozen=True)
class Night:
    """A fault of the delivery of plays, if `plays`; any other spoils the project, and says how to mend it."""

    name: str
    alerts: tuple[str, ...]
    plays: Change | None = None
    spoil: Callable[[Path, int], Callable[[], object]] | None = None
    after_flow: bool = False


# --- faults


def keep_morning(row: Row) -> Iterator[Row]:
    if row["played_at"][11:13] < "14":
        yield row


def double(row: Row) -> Iterator[Row]:
    yield row
    yield row | {"play_id": f"{row['play_id']}-again"}


def give_seconds(row: Row) -> Iterator[Row]:
    with suppress(ValueError):
        row = row | {"ms_played": str(round(int(row["ms_played"]) / 1000))}
    yield row


def lose_duration(row: Row) -> Iterator[Row]:
    yield row | ({"ms_played": ""} if row["play_id"][:1] < "8" else {})


def make_negative(row: Row) -> Iterator[Row]:
    yield row | ({"ms_played": "-1"} if row["play_id"][:1] < "5" else {})


def skip_always(row: Row) -> Iterator[Row]:
    yield row | {"skipped": "true"}


def send_nothing(folder: Path, n: int) -> Callable[[], object]:
    shutil.rmtree(folder / "landing" / name_day(n))
    return partial(deliver, folder, n)


def send_yesterday(folder: Path, n: int) -> Callable[[], object]:
    """The day before once more, with the date and the ids of today."""
    today, before = str(day_of(n)), str(day_of(n - 1))

    def change(row: Row) -> Iterator[Row]:
        if row["played_at"].startswith(before):
            yield row | {
                "play_id": f"{row['play_id']}-{n}",
                "played_at": row["played_at"].replace(before, today),
            }

    write_day(folder, n, change, source=n - 1)
    return partial(resend, folder, n)


def break_catalogue(folder: Path, n: int) -> Callable[[], object]:
    whole = folder / "world" / "tracks"
    for path in (folder / "catalogue").glob("*.csv"):
        header, *lines = path.read_text().splitlines()
        path.write_text("\n".join([header, *(f",{line.partition(',')[2]}" for line in lines)]) + "\n")
    return partial(
        shutil.copytree,
        whole,
        folder / "catalogue",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(".*.crc"),
    )


def cut_log(folder: Path, n: int) -> Callable[[], object]:
    """The newest commit of a table ends in the middle of a line, as on a disk that was full."""
    path = max((folder / "data" / "tables" / "track_features" / "_delta_log").glob("*.json"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return partial(path.write_bytes, whole)


NIGHTS = {
    29: Night("half of the day is missing", ("volume plays",), keep_morning),
    31: Night("every play is sent twice, under two ids", ("volume plays",), double),
    32: Night("seconds for milliseconds", ("drift plays",), give_seconds),
    34: Night("half of the durations are lost", ("nulls plays",), lose_duration),
    # and readers have nothing of that day
    36: Night("durations are negative", ("refused plays", "stale plays"), make_negative),
    38: Night("nothing is delivered", ("stale plays",), spoil=send_nothing),
    39: Night("every play says that it was skipped", ("drift plays",), skip_always),
    41: Night("the day before is sent once more", ("frozen plays",), spoil=send_yesterday),
    42: Night("the catalogue has no ids", ("refused tracks",), spoil=break_catalogue),
    43: Night("a commit is cut off", ("unreadable track_features",), spoil=cut_log, after_flow=True),
}


# --- the month


def day_of(n: int) -> date:
    return FIRST + timedelta(days=n)


def name_day(n: int) -> str:
    return f"delivered={day_of(n)}"


def lay_world(folder: Path) -> None:
    (folder / "segue.toml").write_text(PROJECT)
    code, printed = run(
        folder, f"segue run generate-plays --out {folder / 'world'} --users 2000 --days {DAYS} --bots 0"
    )
    if code:
        raise SystemExit(printed)
    # without the checksums that Spark writes beside its files: those of a file that is spoiled are wrong
    shutil.copytree(
        folder / "world" / "tracks", folder / "catalogue", ignore=shutil.ignore_patterns(".*.crc")
    )
    for n in range(GOOD_DAYS):
        deliver(folder, n)


def deliver(folder: Path, n: int) -> None:
    shutil.copytree(folder / "world" / "plays" / name_day(n), folder / "landing" / name_day(n))


def resend(folder: Path, n: int) -> None:
    """The source sends the day again, as it should be, and what was published of it is taken back."""
    shutil.rmtree(folder / "landing" / name_day(n))
    deliver(folder, n)
    # where the gate refused the day, nothing of it was published
    line = f"segue retract --of-source segue --day {day_of(n)} --ignore-missing --root {folder / 'data'}"
    code, printed = run(folder, line)
    if code:
        raise SystemExit(printed)


def write_day(folder: Path, n: int, change: Change, source: int | None = None) -> None:
    """The plays of a day, or of another one, each as `change` makes it."""
    place = folder / "landing" / name_day(n)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for path in (folder / "world" / "plays" / name_day(n if source is None else source)).glob("*.csv"):
        with path.open(newline="") as read, (place / path.name).open("w", newline="") as write:
            rows = csv.DictReader(read, restval="")
            writer = csv.DictWriter(write, rows.fieldnames or (), extrasaction="ignore")
            writer.writeheader()
            for row in rows:
                writer.writerows(change(row))


def run_flow(folder: Path) -> int:
    return run(folder, f"segue run flow --root {folder / 'data'}", SKIPPED_HERE)[0]


def run_night(folder: Path, n: int, night: Night | None) -> Callable[[], object]:
    """Returns what has to be done before the next."""
    deliver(folder, n)
    if night and night.plays:
        write_day(folder, n, night.plays)
    mend: Callable[[], object] = partial(resend, folder, n) if night and night.plays else list
    if night and night.spoil and not night.after_flow:
        mend = night.spoil(folder, n)
    run_flow(folder)
    if night and night.spoil and night.after_flow:
        mend = night.spoil(folder, n)
    return mend


def list_alerts(folder: Path, n: int) -> dict[str, str]:
    """What is wrong on the morning after."""
    from jobs.health.examine import examine
    from jobs.health.indicators import WRONG
    from jobs.health.root import open_root

    found = examine(open_root(str(folder / "data"), now=find_morning(n)))
    return {f"{each.kind} {each.subject}": each.what for each in found if each.status == WRONG}


def find_morning(n: int) -> datetime:
    return datetime.combine(day_of(n + 1), MORNING)


def write_site(folder: Path, n: int, name: str) -> None:
    from jobs.site.write import write_site

    write_site(str(folder / "data"), str(folder / name), DAYS, now=find_morning(n))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="that does not exist, for all of it"
    )
    folder = parser.parse_args().out.absolute()
    folder.mkdir(parents=True)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    started = time.perf_counter()
    lay_world(folder)
    if run_flow(folder):
        raise SystemExit(f"the good days are not released; look at {folder / 'data' / 'logs'}")
    print(f"{GOOD_DAYS} days are released, {time.perf_counter() - started:.0f} s")
    wrong = [n for n in range(GOOD_DAYS, DAYS) if not try_night(folder, n, NIGHTS.get(n))]
    write_site(folder, DAYS - 1, "site")
    print(f"\n{DAYS - GOOD_DAYS} nights, {len(NIGHTS)} with a fault, {time.perf_counter() - started:.0f} s")
    if wrong:
        raise SystemExit(f"on nights {wrong} the alerts are not those expected")


def try_night(folder: Path, n: int, night: Night | None) -> bool:
    """Whether the alerts of the morning after are those expected."""
    mend = run_night(folder, n, night)
    alerts = list_alerts(folder, n)
    print(f"\nnight {n}, {day_of(n)}: {night.name if night else 'as it should be'}")
    print("\n".join(f"  {key}: {what}" for key, what in alerts.items()) or "  no alert")
    if night:
        write_site(folder, n, f"site-{n}")
    mend()
    return sorted(alerts) == sorted(night.alerts if night else ())


if __name__ == "__main__":
    main()
