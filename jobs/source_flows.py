"""The flow of a project with several sources: each of them is ingested, then all that is made of plays is made once."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence

from expectations.verdict import Refused
from jobs import FLOW, flow
from jobs.feeds import Feed, find_feeds
from jobs.flow import run_flow
from jobs.job import new_run_id
from jobs.recognise_source import resolve_source
from jobs.sources import load_source
from segue.project import SourceFiles, find_project

_INGESTS = [step.name for step in FLOW if step.section in ("plays", "tracks")]
# with other events: the project says once where their files are, for all sources
_BUILDS = [step.name for step in FLOW if step.name not in _INGESTS]


def run_flows(arguments: Sequence[str], only: Collection[str] | None = None) -> int:
    """As `run_flow`; without a source among the arguments, of all that [sources] names.

    A source that is refused holds up no other, but what is made of plays waits for all of them.

    Args:
        only: the steps of a plan.

    Returns:
        0; the code of the first that failed, else 3 if one was refused.
    """
    sources, given, others = _find_sources(arguments)
    if not sources:
        return run_flow(arguments, only)
    for each in sources:
        # all of them before the first is ingested: one that cannot be used is said before any work
        load_source(resolve_source(each.source, each.input))
    run_id = given.run_id or new_run_id()

    def run(id_: str, source: SourceFiles, skip: Sequence[str]) -> int:
        return run_flow(
            [*others, "--run-id", id_, *_to_arguments(source), "--skip", *given.skip, *skip], only
        )

    reads = only is None or any(name in only for name in _INGESTS)
    codes = {each.name: run(f"{run_id}-{each.name}", each, _BUILDS) for each in sources if reads}
    if stopped := {name: code for name, code in codes.items() if code}:
        print(f"\nNothing was made of plays, as these sources were not taken in: {', '.join(stopped)}")
        return next((code for code in stopped.values() if code != Refused.exit_code), Refused.exit_code)
    # it needs a source to know its sections by, for events without one of their own
    return run(run_id, sources[-1], _INGESTS)


def has_new_files(arguments: Sequence[str]) -> bool:
    """Whether `run_flows` would read any file."""
    sources, given, others = _find_sources(arguments)
    if not sources:
        return flow.has_new_files(arguments)
    # their files are read once, by the layout of the last source: to another they would be new for ever
    events = [step.name for step in FLOW if step.section and step.name not in _INGESTS]

    def has_some(source: SourceFiles) -> bool:
        names = [*given.skip, *(events if source is not sources[-1] else ())]
        skip = ["--skip", *names] if names else []
        return flow.has_new_files([*others, *_to_arguments(source), *skip])

    return any(map(has_some, sources))


def find_all_feeds(args: argparse.Namespace) -> Mapping[str, Sequence[Feed]]:
    """By table all that `run_flows` would read; nothing where neither the arguments nor the project name a source."""
    project = find_project()
    if args.source or args.input != project.resolve("input").value:
        return {name: [feed] for name, feed in find_feeds(args).items()} if args.source and args.input else {}
    by_table: dict[str, list[Feed]] = {}
    for each in project.sources:
        of_source = {
            "source": each.source,
            "input": each.input,
            "catalogue": each.catalogue or args.catalogue,
        }
        for name, feed in find_feeds(argparse.Namespace(**vars(args) | of_source)).items():
            by_table.setdefault(name, []).append(feed)
    # other events are read once, in the run of the last
    return {name: feeds if name in ("plays", "tracks") else feeds[-1:] for name, feeds in by_table.items()}


def _find_sources(arguments: Sequence[str]) -> tuple[list[SourceFiles], argparse.Namespace, list[str]]:
    """Those of the project, unless the arguments name one; and the arguments, apart from what is of a source."""
    given, others = _parser().parse_known_args(arguments)
    names_one = given.source or given.input or given.help
    return [] if names_one else find_project().sources, given, others


def _to_arguments(source: SourceFiles) -> list[str]:
    catalogue = ["--catalogue", *source.catalogue] if source.catalogue else []
    return ["--source", source.source, "--input", *source.input, *catalogue]


def _parser() -> argparse.ArgumentParser:
    # what it leaves is for the flow's own parser, which knows what is wrong
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--source")
    parser.add_argument("--input", nargs="+")
    parser.add_argument("--run-id")
    parser.add_argument("--skip", nargs="+", default=[])
    parser.add_argument("-h", "--help", action="store_true")
    return parser
