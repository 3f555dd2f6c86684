"""The commands that need no Spark: init, config, schedule, pack, releases, lookup, similar, skew, rollback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segue import show
from segue.new_project import TEMPLATES
from segue.project import find_project
from segue.roots import refuse_missing_root
from segue.show_schedule import FORMATS, IMAGE_FOLDER, describe_schedule

if TYPE_CHECKING:
    from segue.releases import Release, TableVersion


@dataclass(frozen=True)
class Command:
    """One subcommand: its line in the help, its arguments, what it does, its place in the help."""

    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    order: int


def add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        default=find_project().resolve("root").value,
        help="where the tables are (default: $SEGUE_ROOT, root of segue.toml, ./data)",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def _add_root_and_json(parser: argparse.ArgumentParser) -> None:
    add_root(parser)
    _add_json(parser)


def _print_rows(args: argparse.Namespace, rows: Iterable[Mapping[str, Any]], text: str) -> None:
    # of no rows there is no line, and an empty one would be no JSON
    if output := show.format_json_lines(rows) if args.json else text:
        print(output)


def _configure_releases(parser: argparse.ArgumentParser) -> None:
    parser.description = "Lists all releases, newest first, or shows what one of them holds."
    parser.add_argument("action", nargs="?", choices=["show"], metavar="show", help="show one release")
    parser.add_argument("id", nargs="?", metavar="ID", help="the release to show (default: the newest)")
    _add_root_and_json(parser)


# Imports stand inside functions: `segue --help` and wrong usage must not wait for pyarrow and deltalake.
def _releases(args: argparse.Namespace) -> int:
    from segue.releases import list_releases, select_release

    refuse_missing_root(args.root)
    releases = list_releases(args.root)
    if args.action:
        # also one whose life is over: it can no longer be read, but what it held is still known
        release = select_release(args.root, releases, args.id)
        _print_rows(args, [_to_record(release)], _format_release(release, releases))
    else:
        text = _format_releases(releases) if releases else f"no releases yet under {args.root}"
        _print_rows(args, map(_to_record, releases), text)
    return 0


def _configure_rollback(parser: argparse.ArgumentParser) -> None:
    parser.description = "Makes a new release of the table versions of an old one. No data moves."
    parser.add_argument("id", metavar="ID", help="the release to go back to")
    _add_root_and_json(parser)


def _rollback(args: argparse.Namespace) -> int:
    from segue.releases import rollback

    release = rollback(args.root, args.id)
    line = f"release {release.release_id} has the tables of {args.id}; it takes back {release.rollback_of}"
    _print_rows(args, [_to_record(release)], line)
    return 0


def _configure_lookup(parser: argparse.ArgumentParser) -> None:
    parser.description = "Prints the row of each key, in the order given; an unknown key is shown as absent."
    parser.add_argument("table", metavar="TABLE", help="as `segue tables` lists it")
    parser.add_argument("keys", nargs="+", metavar="KEY", help="ids, as of listeners or tracks")
    parser.add_argument("--day", help="one day, as 2026-11-20 (default: the newest complete one)")
    parser.add_argument("--columns", metavar="A,B", type=_split_names, help="only these")
    parser.add_argument("--release", metavar="ID", help="the release to read (default: the newest)")
    _add_root_and_json(parser)


def _lookup(args: argparse.Namespace) -> int:
    import segue

    store = segue.open(args.root, args.release)
    rows = store.lookup(args.table, args.keys, args.day, args.columns).to_pylist()
    for name, why in store.deprecated(args.table).items():
        if name in rows[0]:
            # not among the rows, which a program may read
            print(f"{args.table}: {name} is deprecated: {show.escape(why)}", file=sys.stderr)
    if args.json:
        print(show.format_json_lines(rows))
        return 0
    # A row can be all nulls in the given columns; this one is never null.
    buckets = store.lookup(args.table, args.keys, args.day, ["bucket"])["bucket"]
    print(show.format_records(rows, store.entity(args.table), buckets.is_null().to_pylist()))
    return 0


def _split_names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _configure_similar(parser: argparse.ArgumentParser) -> None:
    parser.description = "Prints the tracks most similar to this one (cosine of embeddings), best first."
    parser.add_argument("track", metavar="TRACK", help="id of a track")
    parser.add_argument("-k", type=int, default=20, help="how many (%(default)s)")
    next_help = "the tracks most likely played next instead (inner product of in_vector and out_vector)"
    parser.add_argument("--next", action="store_true", help=next_help)
    parser.add_argument("--release", metavar="ID", help="the release to read (default: the newest)")
    _add_root_and_json(parser)


def _similar(args: argparse.Namespace) -> int:
    import segue

    store = segue.open(args.root, args.release)
    tracks = (store.next_tracks if args.next else store.similar_tracks)(args.track, args.k)
    columns = zip(*tracks.to_pydict().values(), strict=True)
    text = show.format_table(tracks.column_names, columns, show.LONGEST_VALUE)
    _print_rows(args, tracks.to_pylist(), text)
    return 0


def _configure_skew(parser: argparse.ArgumentParser) -> None:
    from segue.show_skew import configure

    configure(parser)
    _add_root_and_json(parser)


def _skew(args: argparse.Namespace) -> int:
    from segue.show_skew import run

    return run(args)


def _configure_init(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Lays out a project: settings, a source, declarations of features, expectations, a test. It works as it is, on "
        "files with the columns that sources/plays.toml names."
    )
    parser.add_argument("folder", metavar="FOLDER", help="a new folder")
    template_help = "demo: the project that `segue demo` runs (default: %(default)s)"
    parser.add_argument("--template", choices=TEMPLATES, default=TEMPLATES[0], help=template_help)


def _init(args: argparse.Namespace) -> int:
    from segue.new_project import create_project

    for path in create_project(args.folder, args.template):
        print(path)
    return 0


def _configure_pack(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes settings, declarations, expectations and source files of the project into one archive. spark-submit "
        "--py-files takes it to driver and executors, so that a step there is what segue run makes of it here. "
        "Settings of [spark] stay here."
    )
    parser.add_argument("--out", metavar="FILE", help="file to write (default: <name>.zip)")


def _pack(args: argparse.Namespace) -> int:
    from segue.pack import pack_project

    print(pack_project(find_project(), args.out))
    return 0


def _configure_schedule(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Prints when the flow of the project runs next, or the entry of a scheduler that runs it: a line of a crontab, "
        "or a CronJob of Kubernetes. Airflow and others take the expression as it is: they have to know that it is "
        "in UTC. Nothing of Segue runs by itself."
    )
    add = parser.add_argument
    add("--format", choices=FORMATS, default=FORMATS[0], help="what to print (default: %(default)s)")
    add("--image", metavar="IMAGE", help="kubernetes: the image, with Segue and the project in it")
    where = f"where the project is on the machine that runs it (default: here; in an image {IMAGE_FOLDER})"
    add("--folder", metavar="FOLDER", help=where)


def _schedule(args: argparse.Namespace) -> int:
    print(describe_schedule(find_project(), args.format, args.image, args.folder))
    return 0


def _configure_config(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Prints every setting, its value, and where that is from. segue.toml, found upward from here or named by "
        "SEGUE_PROJECT, is weakest; then come variables of the environment, then options of a command."
    )
    _add_json(parser)


def _config(args: argparse.Namespace) -> int:
    rows = list(find_project().describe())
    _print_rows(args, rows, show.format_table(list(rows[0]), [list(row.values()) for row in rows]))
    return 0


def _to_record(release: Release) -> dict[str, Any]:
    return {
        "release_id": release.release_id,
        "released_at": release.released_at,
        "expires_at": release.expires_at,
        "rollback_of": release.rollback_of,
        "complete_through": release.complete_through,
        "tables": {name: vars(entry) for name, entry in sorted(release.tables.items())},
    }


def _format_releases(releases: Sequence[Release]) -> str:
    header = ("release", "released at", "opens until", "tables", "behind", "rows", "takes back")
    ends, rows = _format_expiries(releases), []
    for r in releases:
        entries = r.tables.values()
        counts = (len(entries), sum(e.lag_days > 0 for e in entries), sum(e.rows for e in entries))
        rows.append((r.release_id, r.released_at, ends[r.release_id], *counts, r.rollback_of))
    return show.format_table(header, rows)


def _format_expiries(releases: Sequence[Release]) -> dict[str, str]:
    """When the life of each release ends, in words."""
    from segue.releases import select_unexpired

    ends = {release.release_id: "over" for release in releases}
    ends |= {r.release_id: show.format_cell(r.expires_at) for r in select_unexpired(list(releases))}
    # the newest can be opened for ever; it only gets an end when there is a newer one
    return ends | {release.release_id: "no end" for release in releases[:1]}


def _format_release(release: Release, releases: Sequence[Release]) -> str:
    """What it holds, and what that changed for readers of the release before."""
    before = next(iter(releases[releases.index(release) + 1 :]), None)
    takes_back = f", takes back {release.rollback_of}" if release.rollback_of else ""
    if release.complete_through:
        takes_back += f"; complete through {show.format_cell(release.complete_through)}"
    rows = []
    for name, entry in sorted(release.tables.items()):
        lag = f"{entry.lag_days} day{'s' if entry.lag_days > 1 else ''}" if entry.lag_days else None
        change = _format_change(before, name, entry)
        rows.append((name, entry.version, entry.rows, lag, change, entry.content_hash))
    against = f"against {before.release_id if before else 'none'}"
    table = show.format_table(("table", "version", "rows", "lag", against, "content hash"), rows)
    lost_tables = sorted(set(before.tables) - set(release.tables)) if before else []
    return (
        f"release {release.release_id}, made {show.format_cell(release.released_at)}{takes_back}; "
        f"end of its life: {_format_expiries(releases)[release.release_id]}\n\n{table}"
        + (f"\n\nno longer has {', '.join(lost_tables)}" if lost_tables else "")
    )


def _format_change(before: Release | None, name: str, entry: TableVersion) -> str:
    if before is None or name not in before.tables:
        return "new"
    old = before.tables[name]
    # another version can hold the same rows: files were joined, or a batch was published again
    if old.content_hash == entry.content_hash:
        return "the same rows"
    return f"{entry.rows - old.rows:+,} rows" if entry.rows != old.rows else "other rows, as many"


COMMANDS = {
    "init": Command(
        "lay out a project: settings, sources, declarations, expectations", _configure_init, _init, 5
    ),
    "releases": Command("list the releases, or show one", _configure_releases, _releases, 30),
    "lookup": Command("rows of a table by key", _configure_lookup, _lookup, 40),
    "similar": Command("tracks most similar to a track", _configure_similar, _similar, 50),
    "skew": Command("logged features against the releases they were served from", _configure_skew, _skew, 55),
    "rollback": Command("go back to an old release", _configure_rollback, _rollback, 60),
    "pack": Command("the project as one archive, for spark-submit", _configure_pack, _pack, 83),
    "schedule": Command(
        "when the flow runs, and the entry of a scheduler", _configure_schedule, _schedule, 84
    ),
    "config": Command("every setting, and where its value is from", _configure_config, _config, 85),
}
