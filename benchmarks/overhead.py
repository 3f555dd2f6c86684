"""What small data costs where rows cost nothing: a publication by phase, the start of a session, a night, a rerun.

    python benchmarks/overhead.py                     # everything, three rounds each: about fifteen minutes
    python benchmarks/overhead.py --only publish      # or session, night, demo; several are allowed

    publish   1,839 rows of sessions in a session that is warm: stage, audit, commit, record, and the whole;
              beside them the same write by Delta's own writer
    session   a new process up to its first publication, with the archive of class data and without
    night     300 listeners, 44 days; then one more day, then the same again, where nothing is new
    demo      `segue demo`, whole, and each step of its flows

Beside the seconds of a night and of the demo are CPU seconds, by what threads of the JVM do; beside those of a step the
CPU seconds of its tasks, which do not count plans and compilation. Two steps run at a time. Rounds are printed one by
one beside their median: on two cores nothing else should run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from types import ModuleType

from stopwatch import Times, stopwatch, time_functions
from thread_cpu import run_and_count

ROWS, DAYS = 1_839, 5
SEGUE = [sys.executable, "-m", "segue.command"]


def main() -> None:
    parts: dict[str, Callable[[Path, int, Times], None]] = {
        "publish": _publish, "session": _session, "night": _night, "demo": _demo,
    }  # fmt: skip
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first-publication", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first_publication:
        _publish(args.first_publication, 0, defaultdict(list))
        return
    packages = ("pyspark", "delta-spark", "great-expectations", "deltalake")
    print(f"{os.cpu_count()} cores, {', '.join(f'{name} {version(name)}' for name in packages)}")
    for name in args.only:
        times: Times = defaultdict(list)
        with tempfile.TemporaryDirectory() as folder:
            parts[name](Path(folder), args.rounds, times)
        print(f"\n{name}")
        for label, seconds in times.items():
            rounds = ", ".join(f"{each:.2f}" for each in seconds)
            print(f"  {label:<34}{median(seconds):>8.2f} s   ({rounds})", flush=True)


def _publish(folder: Path, rounds: int, times: Times) -> None:
    """The first two publications compile and warm up, and are not counted."""
    from made_up import FIRST, generate_sessions

    from jobs.job import Job
    from jobs.publishing.batches import folder as folder_of
    from jobs.publishing.batches import reserve
    from jobs.publishing.staging import write
    from schemas import conform
    from schemas.sessions import SESSIONS

    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    warm: Times = defaultdict(list)
    for turn in range(2 + rounds if rounds else 1):
        job = Job("overhead", str(folder / "root"), f"run-{turn}", say=lambda text: None)
        job.tune(ROWS)
        rows = generate_sessions(job.spark, ROWS, DAYS, str(folder / f"rows-{turn}"))
        batch = job.batch("sessions", days, deterministic=False, parameters={"turn": turn})
        round_times = times if turn > 1 else warm
        with time_functions(_phases(), round_times), stopwatch(round_times, "whole"):
            job.publish(batch, rows.where(f"ms_played >= {turn}"))
        job.tune(ROWS)
        by_delta = reserve(job.warehouse, job.batch("sessions", days, parameters={"by Delta": turn}))
        ordered = conform(rows, SESSIONS).repartition("ds").sortWithinPartitions("ds", "bucket", "user_id")
        with stopwatch(round_times, "not counted: write by Delta"):
            write(ordered, folder_of(job.warehouse, by_delta))


def _phases() -> dict[str, tuple[ModuleType, str]]:
    """The parts of a publication, where they are called."""
    import jobs.job as job
    from jobs.publishing import protocol, staging

    return {
        "reserve": (job, "reserve"),
        "write": (staging, "write"),
        "audit: rows, keys, content hash": (protocol, "profile"),
        "audit: expectations": (protocol, "audit_batch"),
        "record": (job, "record"),
        "commit": (job, "commit"),
    }


def _session(folder: Path, rounds: int, times: Times) -> None:
    from jobs.class_data import make_archive
    from jobs.session import class_archive as archive

    if not archive().exists():
        make_archive()
    archive_aside = archive().with_suffix(".aside")
    for turn in range(rounds):
        for label in ("first publication, class data archived", "first publication, none archived"):
            if "none" in label:
                archive().rename(archive_aside)
            try:
                with stopwatch(times, label):
                    _run(
                        [sys.executable, __file__, "--first-publication", str(folder / f"{turn}-{label[19]}")]
                    )
            finally:
                if archive_aside.exists():
                    archive_aside.rename(archive())


def _night(folder: Path, rounds: int, times: Times) -> None:
    """Every round has the same 44 days behind it."""
    landing = folder / "landing"
    _run([*SEGUE, "run", "generate-plays", "--out", str(landing), "--users", "300", "--days", "45"])
    days = sorted((landing / "plays").iterdir())
    _flow(folder / "before", landing, days[:-1])
    for _ in range(rounds):
        root = folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(folder / "before", root)
        with stopwatch(times, "one more day on 44"):
            cpu = _flow(root, landing, days[-1:])
        _add_cpu(times, cpu)
        with stopwatch(times, "again, nothing new"):
            _flow(root, landing, days[-1:])


def _flow(root: Path, landing: Path, days: list[Path]) -> dict[str, float]:
    source = ["--source", str(landing / "source.toml"), "--catalogue", str(landing / "tracks")]
    return _run([*SEGUE, "run", "flow", "--root", str(root), *source, "--input", *map(str, days)])


def _demo(folder: Path, rounds: int, times: Times) -> None:
    for turn in range(rounds):
        root = folder / f"demo-{turn}"
        with stopwatch(times, "segue demo"):
            cpu = _run([*SEGUE, "demo", "--root", str(root)])
        _add_cpu(times, cpu)
        _add_steps(times, root)


def _add_cpu(times: Times, cpu: dict[str, float]) -> None:
    for kind, seconds in cpu.items():
        times[f"CPU, {kind}"].append(seconds)


def _add_steps(times: Times, root: Path) -> None:
    """What each step took, by the record that it leaves; the number is that of the flow."""
    from segue.storage import Snapshot, find_table

    path = str(root / "quality" / "costs")
    table = find_table(path)
    assert table is not None
    snapshot = Snapshot(path, table)
    costs = snapshot.read(snapshot.files, ["run_id", "step", "ended_at", "seconds", "cpu_seconds"])
    for row in costs.sort_by("ended_at").to_pylist():
        label = f"{row['run_id'].rpartition('-')[2]} {row['step']}"
        times[label].append(row["seconds"])
        times[f"{label}, tasks"].append(row["cpu_seconds"])


def _run(command: list[str]) -> dict[str, float]:
    """CPU seconds by kind of thread."""
    code, output, cpu = run_and_count(command)
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}\n{output}")
    return cpu


if __name__ == "__main__":
    main()
