"""Labels in, features as of each instant and outcomes after it out, with a manifest to make the same rows again."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import fields, replace

from features.joins.feature_table import output_name
from features.joins.ripeness import Observation
from jobs.arguments import add_common_arguments, parse_age
from jobs.errors import WrongUsage
from jobs.job import Job
from jobs.publishing.batches import code_version
from jobs.training.assemble import age_conditions, assemble
from jobs.training.columns import check_split, list_added
from jobs.training.completeness import check_complete
from jobs.training.labels import Labels, check_same, find_label_table, find_labels, locate_labels
from jobs.training.manifest import Manifest, check_replay, declared_identities, load, save, summarise
from jobs.training.outcomes import count_statuses, describe_counts, keep_ripe, observe
from jobs.training.record import record_training_set
from jobs.training.request import AT, Request, outcome_groups_of, split_refs
from jobs.training.requests import count_requests, read_rows, write_rows
from segue import show
from segue.parser import CommandParser
from segue.releases import open_release
from segue.storage import filesystem

FORMATS = ("delta", "parquet")
# Of a field of a request, where it is not its name.
OPTIONS = {"instants": "split_at"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    add_common_arguments(parser)
    add, feature = parser.add_argument, "TABLE[:COLUMN]"
    # not required: a replay has them from its manifest
    labels = "Delta table, parquet or .csv: keys, an instant, anything; or a table of events, such as plays"
    add("--labels", metavar="PATH|TABLE", help=labels)
    add("--features", nargs="+", default=[], metavar=feature, help="see segue features")
    at_label_time = "the same, of windows that end at the label's own instant"
    add("--at-label-time", nargs="+", default=[], metavar=feature, help=at_label_time)
    ahead = "what came of a label, in the window that begins at its instant; null before that is over"
    add("--outcomes", nargs="+", default=[], metavar="TABLE:COLUMN", help=ahead)
    add("--ripe-only", action="store_true", help="leave labels out whose outcomes are not all known")
    instant = f"the labels' instant, UTC ({AT}; of a table, that of its events)"
    add("--at", metavar="COLUMN", help=instant)
    share = "take this share of the labels, by a hash; the same at any time"
    add("--sample", type=float, metavar="SHARE", help=share)
    add("--sample-by", metavar="COLUMN", help="what the hash is of (of a table: its key)")
    add("--as-published", action="store_true", help="only what had been published by then")
    add("--max-age", type=parse_age, metavar="DAYS", help="older values come out null (default: any age)")
    space = "take vectors of this space, where labels get days of several; else null"
    add("--space", metavar="ID", help=space)
    unfinished = "take labels whose day is not complete, with the values that there are"
    add("--provisional", action="store_true", help=unfinished)
    add("--release", help="the release to read (default: the newest)")
    split_at = "where validation, test begin"
    add("--split-at", dest="instants", nargs="+", default=[], metavar="INSTANT", help=split_at)
    add("--split-by", metavar="COLUMN", help="what must not be in two splits, such as user_id")
    add("--split-salt", default="", metavar="TEXT", help="hashed with it: another one splits otherwise")
    add("--shares", nargs="+", type=float, default=[], metavar="SHARE", help="of it, per split")
    groups = "labels of one request stay whole, in files, samples and splits, and in order"
    add("--groups", metavar="COLUMN", help=groups)
    add("--out", required=True, metavar="PATH", help="a folder that is made")
    add("--format", choices=FORMATS, default="parquet", help="(%(default)s)")
    add(
        "--replay",
        metavar="MANIFEST",
        help="make a training set again; give --out, and --labels if they were moved",
    )


def run(args: argparse.Namespace) -> int:
    job = Job("build-training-set", args.root, args.run_id)
    # of --out=~/set a shell leaves the ~
    args.out = os.path.expanduser(args.out)
    _check_free(args.out)
    old = load(os.path.expanduser(args.replay)) if args.replay else None
    manifest = _replay_request(args, old) if old else _new_request(args)
    if manifest.request.groups and args.format != "parquet":
        raise WrongUsage(
            "a set of requests (--groups) is written as --format parquet, whose files stay in order"
        )
    # a release holds its versions for 35 days, so no copy is made that an erasure would have to find
    job.pin(manifest.versions)
    # before labels are read, which may take minutes
    added = list_added(job, manifest.request, manifest.versions)
    manifest, labels, observations = _find_labels(job, manifest, old, added)
    training = assemble(job, manifest.request, labels, manifest.versions, observations)
    write_rows(training.rows, manifest.request, labels.count, args.format, args.out)
    # the manifest describes what lies there: read back, not the rows as planned
    written = read_rows(job.spark, args.out)
    summary = summarise(written, training.outputs, age_conditions(manifest.request, training.daily))
    identities = _identities(manifest.request, training.outputs)
    manifest = replace(manifest, space=training.space, identities=identities, **summary)
    # saved before it is compared: a replay that gave other rows says in its own manifest which
    path = save(manifest, args.out)
    record_training_set(job.warehouse, args.out, manifest)
    if requests := manifest.requests:
        job.say(
            f"{requests['kept']:,} requests, {requests['left_out']:,} left out with labels that are not ripe"
        )
    # each daily table adds its `feature_at`, which is no feature
    _print_summary(job, manifest, len(training.outputs) - len(training.daily), path)
    if old:
        check_replay(old, manifest)
        job.say(f"the same as {args.replay}: content hash {manifest.content_hash}")
    return 0


def _find_labels(
    job: Job, manifest: Manifest, old: Manifest | None, added: Sequence[str]
) -> tuple[Manifest, Labels, dict[str, Observation]]:
    """The labels to join, what there is of their outcomes' events; and the manifest, which says what there is of both.

    Raises:
        JobError: other labels than those of an old manifest; labels that need more than was delivered.
    """
    request = manifest.request
    labels = find_labels(job, request, added)
    if old:
        # before the join: other labels cannot give the rows of then
        check_same(labels, old.label_rows, old.label_hash, old.request.labels)
    manifest = replace(manifest, label_rows=labels.count, label_hash=labels.content_hash)
    job.say(f"{labels.count:,} labels, {labels.days[0]} to {labels.days[-1]}, release {manifest.release}")
    observations = observe(job, request, labels, manifest.tables)
    manifest = replace(manifest, ripeness=count_statuses(labels, observations))
    for line in describe_counts(manifest.ripeness, request.ripe_only):
        job.say(line)
    before = labels.rows
    if request.ripe_only:
        labels = keep_ripe(request, labels, observations)
    manifest = replace(manifest, requests=count_requests(before, labels.rows, request.groups))
    if not old:
        check_complete(request, labels, manifest.tables)
    return manifest, labels, observations


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(prog="segue training-set")
    configure(parser)
    return run(parser.parse_args(argv))


def _new_request(args: argparse.Namespace) -> Manifest:
    if not args.labels or not (args.features or args.at_label_time or args.outcomes):
        raise WrongUsage(
            "give --labels PATH and --features TABLE[:COLUMN] ... or --outcomes TABLE:COLUMN ..., or --replay MANIFEST"
        )
    if args.ripe_only and not args.outcomes:
        raise WrongUsage("--ripe-only is of --outcomes TABLE:COLUMN ...; give both")
    # before any label is read
    outcome_groups_of(args.outcomes)
    release, events = open_release(args.root, args.release), find_label_table(args.labels)
    if events and events.name not in release.tables:
        raise WrongUsage(
            f"--labels {args.labels}: release {release.release_id} has no such table; for a folder, write "
            f"./{args.labels}"
        )
    # a flag for each field, so one that has none fails here at once
    values = {field.name: getattr(args, field.name) for field in fields(Request)}
    values["at"] = (events.event_time if events else AT) if args.at is None else args.at
    # the manifest holds it, and may be replayed from another folder
    request = replace(Request.loads(values), labels=locate_labels(args.labels))
    check_split(request)
    tables = {name: vars(entry) for name, entry in release.tables.items()}
    return Manifest(request, release.release_id, tables, code_version(), 0, "")


def _replay_request(args: argparse.Namespace, old: Manifest) -> Manifest:
    """The same request on the same versions, of the columns that the tables had then.

    Raises:
        WrongUsage: an option is given that the manifest has; a feature at label time is declared otherwise, or no more.
    """
    if given := _list_requested(args):
        raise WrongUsage(
            f"--replay makes the set that its manifest describes; got {', '.join(given)} beside it. Leave out all but "
            "--out, --format, and --labels where these lie elsewhere by now"
        )
    request = old.request.with_columns(tuple(old.nulls))
    # wherever they are found: other labels are refused, by their hash
    request = replace(request, labels=locate_labels(args.labels or request.labels))
    # daily values lie in the pinned versions; what is computed at label time needs the declaration of then. Other code
    # is no reason to refuse: it mostly gives the same rows, and the content hash says so
    if changed := old.changed_features([*split_refs(request)[1], *request.outcomes]):
        raise WrongUsage(
            f"{args.replay}: declared otherwise by now or no more: {', '.join(changed)}; the replay would be another "
            f"training set. Run it with the declarations of release {old.release}"
        )
    return replace(old, request=request, code=code_version())


def _list_requested(args: argparse.Namespace) -> list[str]:
    """The options that were given of those that say what a set holds; but for where its labels are."""
    parser = CommandParser()
    configure(parser)
    names = ["release", *(field.name for field in fields(Request) if field.name != "labels")]
    given = (name for name in names if getattr(args, name) != parser.get_default(name))
    return ["--" + OPTIONS.get(name, name).replace("_", "-") for name in given]


def _identities(request: Request, outputs: Sequence[str]) -> dict[str, str]:
    """Of the declared ones among the columns of a training set."""
    return {
        ref: text
        for ref, text in declared_identities(request.outcomes).items()
        if ref in request.outcomes or output_name(*ref.split(":")) in outputs
    }


def _check_free(out: str) -> None:
    """Nothing is overwritten; somebody may train on it at this moment."""
    from pyarrow.fs import FileType

    files, path = filesystem(out)
    if files.get_file_info(path).type != FileType.NotFound:
        raise WrongUsage(f"--out {out} is there already; give a folder that is not")


def _print_summary(job: Job, manifest: Manifest, features: int, path: str) -> None:
    nulls = [(name, f"{100 * share:.2f} %") for name, share in manifest.nulls.items() if share]
    space = f", vectors of space {manifest.space}" if manifest.space else ""
    job.say(f"{manifest.rows:,} rows, {features} features{space}; manifest {path}")
    for table, share in manifest.lost_to_max_age.items():
        job.say(f"{table}: {100 * share:.2f} % of the labels lost to --max-age")
    if nulls:
        print(show.format_table(("null where", "share of labels"), nulls))


if __name__ == "__main__":
    raise SystemExit(main())
