"""The steps as a graph: which tables each needs and makes. Order, help and what a refusal blocks follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")

# Not a table of data but what names them: it is made last, and no release holds it.
RELEASES = "releases"


class GraphError(ValueError):
    """Steps that cannot be brought into an order."""

    # of the command: Segue's own can, so it is what a project declares that does not fit
    exit_code = 2


@dataclass(frozen=True)
class Step:
    """One step: `segue run <name>` here, `spark-submit jobs/<file>.py` on a cluster."""

    name: str
    module: str
    help: str
    # tables without which it can make nothing
    needs: tuple[str, ...] = ()
    # its tables, in the order in which they are made
    makes: tuple[str, ...] = ()
    # tables that are read where they exist
    uses: tuple[str, ...] = ()
    # those of `makes` that say what the gate refused: they reach days of which nothing was published
    records: tuple[str, ...] = ()
    # the section of a source that it reads, if any
    section: str = ""
    # whether a flow for single days asks it for these, by --day or --from and --to. What such tables are made of,
    # sessions and partials, is brought up to date first, or no release would hold them together
    takes_days: bool = False
    # whether it can make one day alone, by --day
    takes_day: bool = False
    # come before those that are given, where a module has several steps
    arguments: tuple[str, ...] = ()


def sort_steps(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps, each after those that make what it needs or uses; otherwise as they come.

    Raises:
        GraphError: two steps have one name or make one table, a table that is needed is made by none, or a circle.
    """
    steps = tuple(steps)
    _check_names(steps)
    sorter = TopologicalSorter(_upstream(steps))
    try:
        sorter.prepare()
    except CycleError as problem:
        raise GraphError(f"steps need each other: {' -> '.join(s.name for s in problem.args[1])}") from None
    ordered: list[Step] = []
    ready: list[Step] = []
    while sorter.is_active():
        # not `static_order`, which goes level by level: where there is a choice, as in the flow
        ready = sorted([*ready, *sorter.get_ready()], key=steps.index)
        ordered.append(ready.pop(0))
        sorter.done(ordered[-1])
    return tuple(ordered)


def _check_names(steps: Sequence[Step]) -> None:
    named: dict[str, Step] = {}
    for step in steps:
        # a step is run by its name, so one of them never would be
        if step.name in named:
            made = " and ".join(", ".join(each.makes) for each in (named[step.name], step))
            raise GraphError(
                f"two steps are named {step.name}: they make {made}; give the table of your own another name"
            )
        named[step.name] = step


def run_steps(
    steps: Sequence[Step], run: Callable[[Step], Result], at_once: int
) -> Iterator[tuple[Step, Result]]:
    """Runs each step when all that make what it needs or uses have ended, at most so many at the same time.

    Of those that could begin, that comes first which the longest chain of others waits for: at the end, its steps would
    run one after the other, with nothing beside them. Threads of this process: they share the JVM and its tasks, and
    one plans while the tasks of another run.

    Returns:
        each step with its result, as they end.

    Raises:
        whatever `run` raises; steps that are running then end with the process.
    """
    sorter, chains = TopologicalSorter(_upstream(steps)), _measure_chains(steps)
    sorter.prepare()
    ended: SimpleQueue[tuple[Step, Callable[[], Result]]] = SimpleQueue()
    ready: list[Step] = []
    running = 0
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=lambda each: (-chains[each], steps.index(each)))
        for step in ready[: at_once - running]:
            ready.remove(step)
            running += 1
            # daemons: an interrupted flow ends at once, whatever its steps are at. So no ThreadPoolExecutor,
            # which waits for its threads when the interpreter ends
            Thread(target=_run, args=(step, run, ended), daemon=True).start()
        step, result = ended.get()
        running -= 1
        # before it counts as done: whoever collects the results has this one before the next steps start
        yield step, result()
        sorter.done(step)


def _measure_chains(steps: Sequence[Step]) -> dict[Step, int]:
    """Of each step, how many steps the longest chain has that waits for it."""
    upstream, chains = _upstream(steps), dict.fromkeys(steps, 0)
    for step in reversed(sort_steps(steps)):
        for maker in upstream[step]:
            chains[maker] = max(chains[maker], chains[step] + 1)
    return chains


def _run(
    step: Step, run: Callable[[Step], Result], ended: SimpleQueue[tuple[Step, Callable[[], Result]]]
) -> None:
    # holds the result or what was raised, and gives or raises it in the thread that asks
    future: Future[Result] = Future()
    try:
        future.set_result(run(step))
    except BaseException as problem:  # whoever waits for the step must hear of it, also of sys.exit
        future.set_exception(problem)
    ended.put((step, future.result))


def list_tables(steps: Iterable[Step]) -> tuple[str, ...]:
    """Every table that batches are published to, each after those it is made of."""
    return tuple(table for step in steps for table in step.makes if table != RELEASES)


def downstream(steps: Sequence[Step], table: str) -> frozenset[str]:
    """The tables that cannot be made without this one, whatever lies between."""
    tables: set[str] = {table}
    # in order, one pass is enough: a step comes after all that it needs
    for step in sort_steps(steps):
        # not what it `uses`, without which its tables are made all the same
        if tables & set(step.needs):
            tables |= set(step.makes)
    return frozenset(tables - {table})


def _upstream(steps: Sequence[Step]) -> dict[Step, list[Step]]:
    """The steps that make what each needs or uses."""
    makers: dict[str, Step] = {}
    for step in steps:
        for table in step.makes:
            # with two, what needs the table would wait for one of them only
            if table in makers:
                raise GraphError(f"table {table} is made by {makers[table].name} and by {step.name}")
            makers[table] = step
    if unknown := sorted({t for s in steps for t in (*s.needs, *s.uses) if t not in makers}):
        raise GraphError(f"no step makes {', '.join(unknown)}")
    return {s: [makers[t] for t in (*s.needs, *s.uses)] for s in steps}
