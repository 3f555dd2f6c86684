"""What the steps of runs cost, and what they would cost at another size: what gives way first, and at which number."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.errors import JobError, WrongUsage
from jobs.publishing.warehouse import Warehouse
from jobs.sizing.meter import SETTING
from jobs.sizing.predict import Prediction, World, measure_sizes, measure_world, predict_steps, read_runs
from jobs.sizing.walls import DAY_HOURS, Machine, find_walls
from segue import show
from segue.builtin_commands import add_root

GIB = 2**30
_COSTS = ("step", "runs", "rows", "seconds", "core s", "CPU s", "read", "written", "shuffle", "spill", "task")
_PREDICTED = ("step", "runs", "core-hours", "shuffle", "written", "driver", "task", "beyond", "mix")
_SIZES = ((2**50, "PiB"), (2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Without a size: what each step of its newest run cost. With one: core-hours, shuffle, bytes and memory of a "
        "night of that size, fitted to the runs of this root, how far beyond them it is, and what gives way first. "
        "Without Spark."
    )
    add_root(parser)
    add = parser.add_argument
    add("--listeners", type=_parse_number, help="listeners with a row of features on a day, such as 750e6")
    add("--plays-per-listener", type=_parse_number, help="plays of a day for each (default: as it is)")
    add("--tracks", type=_parse_number, help="tracks with a row of features on a day (default: as it is)")
    add("--cores", type=_parse_number, help="tasks at the same time (default: as in the newest run)")
    add("--hours", type=_parse_number, default=DAY_HOURS, help="that a night may take (%(default)g)")
    add("--task-memory", type=_parse_number, metavar="GIB", help="of a task")
    add("--driver-memory", type=_parse_number, metavar="GIB", help="of the driver's Python process")
    add(
        "--executor-memory",
        type=_parse_number,
        metavar="GIB",
        help="of the largest executor, for the training",
    )
    add(
        "--json", action="store_true", help="one JSON object a line: what was recorded, or each step and wall"
    )


def _parse_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, such as 1e6; got {text!r}")
    return number


def run(args: argparse.Namespace) -> int:
    warehouse = Warehouse(args.root)
    runs = read_runs(warehouse)
    if args.listeners is None:
        if others := [name for name in ("plays_per_listener", "tracks") if getattr(args, name) is not None]:
            raise WrongUsage(f"--{others[0].replace('_', '-')} is of a size; give --listeners too")
        return _show_runs(runs, args)
    world = measure_world(warehouse)
    if not runs or world is None:
        raise JobError(
            f"nothing is recorded of what steps cost under {args.root}; run a flow first, which records it "
            f"unless {SETTING} is false"
        )
    return _show_size(runs, world, measure_sizes(warehouse), args)


# --- what runs cost


def _show_runs(runs: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> int:
    if args.json:
        print(show.format_json_lines(runs), end="\n" if runs else "")
        return 0
    if not runs:
        root = show.escape(args.root)
        print(
            f"nothing is recorded of what steps cost under {root}; a flow records it unless {SETTING} is false"
        )
        return 0
    # the newest of each step, in the order in which they ended
    newest = list({run["step"]: run for run in reversed(runs)}.values())
    counts = {each["step"]: sum(run["step"] == each["step"] for run in runs) for each in newest}
    newest.sort(key=lambda run: run["ended_at"])
    print(show.format_table((*_COSTS, "largest task / median"), [_list_costs(r, counts) for r in newest]))
    if any(run["lost"] for run in newest):
        print(
            "\n* Spark had forgotten some of its jobs by the end: raise spark.ui.retainedJobs and retainedStages"
        )
    return 0


def _list_costs(run: Mapping[str, Any], counts: Mapping[str, int]) -> tuple[Any, ...]:
    sizes = ("bytes_read", "bytes_written", "shuffle_bytes", "spill_bytes", "task_bytes")
    median, largest = run["median_task_seconds"], run["largest_task_seconds"]
    return (
        run["step"] + ("*" if run["lost"] else ""),
        counts[run["step"]],
        run["play_rows"] + run["listener_rows"] + run["track_rows"],
        *(f"{run[name]:.1f}" for name in ("seconds", "core_seconds", "cpu_seconds")),
        *(format_size(run[name]) for name in sizes),
        "" if median is None else f"{largest:.1f} s / {median:.1f} s",
    )


# --- what a night of another size would cost


def _show_size(
    runs: Sequence[Mapping[str, Any]], world: World, sizes: Mapping[str, int], args: argparse.Namespace
) -> int:
    requested = _find_requested(world, args)
    machine = _find_machine(runs, args)
    predictions = predict_steps(runs, world, requested, sizes)
    known = [each for each in predictions if not each.why_not]
    if not known:
        raise JobError(_explain_nothing(predictions))
    walls = find_walls(predictions, requested, machine)
    if args.json:
        lines = [_to_record(each) for each in predictions] + [{"wall": w.what, **vars(w)} for w in walls]
        print(show.format_json_lines(lines))
        return 0
    print(f"measured:  {_describe(world)}\nrequested: {_describe(requested)}\n")
    print(show.format_table(_PREDICTED, [*map(_list_predicted, known), _sum_up(known)]))
    for each in predictions:
        if each.why_not:
            print(f"not {each.step}: {each.why_not}")
    print(f"\n{_describe_reach(known)}\n")
    for place, wall in enumerate(walls):
        order = "first wall" if place == 0 else "then"
        print(
            f"{order}, at {_describe_scale(wall.scale, requested)}: {wall.what}\n    moved by {wall.moved_by}"
        )
    return 0


def _find_requested(world: World, args: argparse.Namespace) -> World:
    if args.plays_per_listener is None and not world.listeners:
        raise WrongUsage(
            "there is no table user_features, to say how many plays a listener has; give --plays-per-listener"
        )
    per_listener = args.plays_per_listener or world.plays / (world.listeners or 1)
    return World(args.listeners * per_listener, args.listeners, args.tracks or world.tracks)


def _find_machine(runs: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> Machine:
    memory = (args.task_memory, args.driver_memory, args.executor_memory)
    task, driver, executor = (each and each * GIB for each in memory)
    return Machine(args.cores or runs[0]["cores"], args.hours, task, driver, executor)


def _explain_nothing(predictions: Sequence[Prediction]) -> str:
    reasons = "; ".join(f"{each.step}: {each.why_not}" for each in predictions)
    return (
        f"nothing can be predicted from these runs ({reasons or 'none of them published anything'}); run flows of "
        "days that differ in size, such as one of a day, one of three days and one of ten, then of a day again"
    )


def _list_predicted(each: Prediction) -> tuple[Any, ...]:
    core_seconds = each.predict("core_seconds") or 0.0
    sizes = (each.predict(name) for name in ("shuffle_bytes", "bytes_written", "driver_bytes"))
    return (
        each.step,
        each.runs,
        f"{core_seconds / 3600:,.2f}",
        *map(format_size, sizes),
        format_size(each.task_bytes),
        f"{each.beyond:,.1f} x",
        f"{each.mix:,.1f} x",
    )


def _sum_up(known: Sequence[Prediction]) -> tuple[Any, ...]:
    def total(cost: str) -> float:
        return sum(each.predict(cost) or 0.0 for each in known)

    tasks = [each.task_bytes for each in known if each.task_bytes is not None]
    return (
        "all",
        None,
        f"{total('core_seconds') / 3600:,.2f}",
        format_size(total("shuffle_bytes")),
        format_size(total("bytes_written")),
        format_size(max(each.predict("driver_bytes") or 0.0 for each in known)),
        format_size(max(tasks, default=None)),
        f"{max(each.beyond for each in known):,.1f} x",
        f"{max(each.mix for each in known):,.1f} x",
    )


def _to_record(each: Prediction) -> dict[str, Any]:
    costs = {cost: each.predict(cost) for cost in each.fits}
    about = {
        "step": each.step,
        "runs": each.runs,
        "why_not": each.why_not,
        "beyond": each.beyond,
        "mix": each.mix,
    }
    return {**about, "rows": dict(each.rows), **costs, "task_bytes": each.task_bytes}


def _describe(world: World) -> str:
    listeners, tracks = (
        "an unknown number of" if number is None else f"{number:,.0f}"
        for number in (world.listeners, world.tracks)
    )
    return f"{world.plays:,.0f} plays a day of {listeners} listeners, {tracks} tracks"


def _describe_reach(known: Sequence[Prediction]) -> str:
    beyond, mix = max(each.beyond for each in known), max(each.mix for each in known)
    said = (
        "nothing is extrapolated"
        if beyond <= 1
        else f"extrapolated up to {beyond:,.1f} x beyond the largest run"
    )
    if mix > 1:
        said += f", with kinds of rows up to {mix:,.1f} x farther from each other than in any run"
    return f"{said}; written and shuffle are of one night, core-hours of tasks alone"


def _describe_scale(scale: float, requested: World) -> str:
    if not scale:
        return "any size"
    return f"{scale:,.3g} x that ({scale * requested.plays:,.0f} plays a day)"


def format_size(size: float | None) -> str:
    if size is None:
        return "-"
    unit, name = next(((unit, name) for unit, name in _SIZES if size >= unit), (1, "B"))
    return f"{size / unit:,.1f} {name}" if unit > 1 else f"{size:.0f} B"
