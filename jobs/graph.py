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


@dataclass(frozen=True)
class Step:
    """One step: `segue run <name>` here, `spark-submit jobs/<file>.py` on a cluster.

    `needs` are tables without which it can make nothing; `uses` are read where they exist. `makes` are its
    tables, in the order in which they are made. Of these, `records` tell what the gate refused: they reach days
    of which nothing was published. `section` is the section of a source that it reads, if any; `takes_days`
    says whether it can be asked for single days. `arguments` come before those that are given, where a module
    has several steps.
    """

    name: str
    module: str
    help: str
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    section: str = ""
    takes_days: bool = False
    arguments: tuple[str, ...] = ()


def sort_steps(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps, each after those that make what it needs or uses; otherwise as they come.

    Raises:
        GraphError: two steps make one table, a table that is needed is made by none, or a circle.
    """
    steps = tuple(steps)
    sorter = TopologicalSorter(_upstream(steps))
    try:
        sorter.prepare()
    except CycleError as problem:
        raise GraphError(f"steps need each other: {' -> '.join(s.name for s in problem.args[1])}") from None
    found: list[Step] = []
    ready: list[Step] = []
    while sorter.is_active():
        # in the order of the flow, so that one run is like the next
        ready = sorted([*ready, *sorter.get_ready()], key=steps.index)
        found.append(ready.pop(0))
        sorter.done(found[-1])
    return tuple(found)


def run_steps(
    steps: Sequence[Step], run: Callable[[Step], Result], at_once: int
) -> Iterator[tuple[Step, Result]]:
    """Runs each step when all that make what it needs or uses have ended, at most so many at the same time.

    Threads of this process: they share the JVM and its tasks, and one plans while the tasks of another run.

    Returns:
        each step with its result, as they end.

    Raises:
        whatever `run` raises; steps that are running then end with the process.
    """
    sorter = TopologicalSorter(_upstream(steps))
    sorter.prepare()
    ended: SimpleQueue[tuple[Step, Callable[[], Result]]] = SimpleQueue()
    ready: list[Step] = []
    running = 0
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=steps.index)
        for step in ready[: at_once - running]:
            ready.remove(step)
            running += 1
            # daemons: an interrupted flow ends at once, whatever its steps are at
            Thread(target=_run, args=(step, run, ended), daemon=True).start()
        step, result = ended.get()
        running -= 1
        yield step, result()
        sorter.done(step)


def _run(
    step: Step, run: Callable[[Step], Result], ended: SimpleQueue[tuple[Step, Callable[[], Result]]]
) -> None:
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
    found: set[str] = {table}
    for step in sort_steps(steps):
        if found & set(step.needs):
            found |= set(step.makes)
    return frozenset(found - {table})


def _upstream(steps: Sequence[Step]) -> dict[Step, list[Step]]:
    """The steps that make what each needs or uses."""
    makers = _map_makers(steps)
    if unknown := sorted({t for s in steps for t in (*s.needs, *s.uses) if t not in makers}):
        raise GraphError(f"no step makes {', '.join(unknown)}")
    return {s: [makers[t] for t in (*s.needs, *s.uses)] for s in steps}


def _map_makers(steps: Sequence[Step]) -> dict[str, Step]:
    makers: dict[str, Step] = {}
    for step in steps:
        for table in step.makes:
            if table in makers:
                raise GraphError(f"table {table} is made by {makers[table].name} and by {step.name}")
            makers[table] = step
    return makers
