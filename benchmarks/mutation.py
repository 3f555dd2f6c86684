"""Puts one small fault at a time into a copy of the checkout, and says which of them no test sees.

    python benchmarks/mutation.py --mutants 60 --seed 1 --results build/before.jsonl
    python benchmarks/mutation.py --mutants 60 --seed 1 --results build/after.jsonl --before build/before.jsonl
    python benchmarks/mutation.py --mutants 5 --only segue/buckets.py --no-spark

A fault is killed by the first failure among the tests that import its module, directly or by way of others:
those without Spark first, then the nearest; a failure that the copy has without the fault is none. Stopped and
begun anew with the same --results, it goes on; results of other code are left out of account. Its tests cost as
much as the suite where a fault survives, or --timeout.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import Any

TOP = Path(__file__).parents[1]
sys.path[:0] = [str(TOP)]

from benchmarks.mutants import Mutant, draw  # noqa: E402
from benchmarks.touched import touching  # noqa: E402

MODULES = ("segue", "jobs/publishing", "features/windows", "features/joins", "features/sessions.py")
KILLED, SURVIVED, UNDECIDED = "killed", "survived", "undecided"
# pytest's exit codes for a run in which nothing failed: all passed, or there was no test.
PASSED = (0, 5)
FAILURE = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?\.py(?:::[^\s\[]+)?)", re.MULTILINE)
END_S = 20  # for tests to end what they started, before they are killed

Result = dict[str, Any]


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """As a plugin of pytest: tests run in the order of the files asked for, whatever the conftest prefers."""
    order = {file: place for place, file in enumerate(config.args)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], 0))


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("mutation: stopped"))
    args = parse_arguments()
    files = list_files()
    sources = {name: (TOP / name).read_bytes() for name in files if is_among(name, args.only)}
    if not sources:
        raise SystemExit(
            f"mutation: no module of the checkout is {args.only}; name files or folders from its top"
        )
    mutants = draw(sources, args.mutants, args.seed)
    if args.list:
        print("\n".join(mutant.diff(sources[mutant.path]) for mutant in mutants))
        return 0
    args.code = fingerprint(files, f"{args.marks} {args.no_spark} {args.timeout}")
    results = run_all(mutants, sources, files, args)
    report(results)
    if args.before:
        compare(read(args.before), results)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--mutants", type=int, default=60, metavar="N", help="faults to draw (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="equal ones draw equal faults (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="copies with a test run each (%(default)s)")
    parser.add_argument(
        "--timeout", type=float, default=300, help="seconds of tests for a fault (%(default)s)"
    )
    parser.add_argument(
        "--only", nargs="+", default=MODULES, metavar="PATH", help="modules, folders (%(default)s)"
    )
    parser.add_argument("--no-spark", action="store_true", help="only tests that use no Spark")
    parser.add_argument("--marks", default="not s3", help="tests to run, as for pytest -m (%(default)s)")
    parser.add_argument(
        "--results", type=Path, default=TOP / "build" / "mutation.jsonl", help="(%(default)s)"
    )
    parser.add_argument("--before", type=Path, help="results of another version, to compare what both drew")
    parser.add_argument("--list", action="store_true", help="print the faults, run nothing")
    return parser.parse_args()


def list_files() -> list[str]:
    """Files of the checkout, those not yet added included."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in output.split("\0") if name and (TOP / name).is_file())


def is_among(name: str, paths: Iterable[str]) -> bool:
    return name.endswith(".py") and any(
        name == path or name.startswith(f"{path.rstrip('/')}/") for path in paths
    )


def fingerprint(files: Iterable[str], terms: str) -> str:
    """Of all code and tests, and of which tests run: results of others say nothing of these."""
    digest = hashlib.sha256(terms.encode())
    for name in files:
        if name.endswith((".py", ".cfg", ".conf")):
            digest.update(name.encode() + b"\0" + (TOP / name).read_bytes())
    return digest.hexdigest()[:16]


def run_all(
    mutants: Sequence[Mutant], sources: Mapping[str, bytes], files: Sequence[str], args: argparse.Namespace
) -> list[Result]:
    """One result for each mutant, in their order; those already in the file are taken from it."""
    earlier_results = {each["key"]: each for each in read(args.results) if each["code"] == args.code}
    args.results.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.jobs) as pool:
        copies = [Copy(Path(folder, str(number)), files, args) for number in range(args.jobs)]
        free: Queue[Copy] = Queue()
        for copy in copies:
            free.put(copy)

        def decide(mutant: Mutant) -> Result:
            copy = free.get()
            try:
                return earlier_results.get(mutant.key) or copy.decide(mutant, sources[mutant.path])
            finally:
                free.put(copy)

        try:
            return record(pool.map(decide, mutants), len(mutants), earlier_results.keys(), args.results)
        except BaseException:  # tests have sessions of their own, which no Ctrl-C reaches
            for copy in copies:
                copy.stop()
            pool.shutdown(cancel_futures=True)
            raise


def record(results: Iterable[Result], count: int, known_keys: Set[str], path: Path) -> list[Result]:
    """All results, each written down and said as soon as it is there."""
    all_results = []
    with path.open("a") as out:
        for number, result in enumerate(results, 1):
            if result["key"] not in known_keys:
                print(json.dumps(result), file=out, flush=True)
            all_results.append(result)
            print_result(number, count, result)
    return all_results


def read(path: Path) -> list[Result]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def print_result(number: int, count: int, result: Result) -> None:
    by = f" by {result['by']}" if result["by"] else ""
    print(f"{number}/{count} {result['outcome']} in {result['seconds']} s{by}: {result['diff']}", flush=True)


class Copy:
    """The checkout in a folder of its own, where faults are put in and tests run."""

    def __init__(self, folder: Path, files: Iterable[str], args: argparse.Namespace) -> None:
        self.folder, self._args = folder, args
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, folder / name)
        self._environment = {**os.environ, "PYTHONPATH": str(folder)}
        self._broken: dict[str, bool] = {}
        self._writes = 0
        self._test_run: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def decide(self, mutant: Mutant, source: bytes) -> Result:
        start = time.monotonic()
        outcome, by = self._outcome(mutant, source, start + self._args.timeout)
        return {
            "key": mutant.key, "path": mutant.path, "outcome": outcome, "by": by, "code": self._args.code,
            "seconds": round(time.monotonic() - start), "diff": mutant.diff(source),
        }  # fmt: skip

    def _outcome(self, mutant: Mutant, source: bytes, deadline: float) -> tuple[str, str]:
        tests = touching(mutant.path, self.folder, self._args.no_spark)
        while tests:
            self._write(mutant.path, mutant.applied(source))
            try:
                code, failed = self._run(tests, deadline - time.monotonic())
            finally:
                self._write(mutant.path, source)
            if code is None:
                return UNDECIDED, ""
            if code in PASSED:
                break
            if not self._is_broken(failed, tests):
                return KILLED, failed or "an import"
            tests = [test for test in tests if test != failed]
        return SURVIVED, ""

    def _write(self, name: str, source: bytes) -> None:
        """In a second of its own: Python takes bytecode for current where size and second agree."""
        (self.folder / name).write_bytes(source)
        self._writes += 1
        os.utime(self.folder / name, (self._writes, self._writes))

    def _is_broken(self, failed: str, tests: Sequence[str]) -> bool:
        """Whether it fails without a fault too.

        Raises:
            SystemExit: no test can be collected, fault or not.
        """
        if failed not in self._broken:
            code, _ = self._run([failed] if failed else [*tests, "--collect-only"], self._args.timeout)
            self._broken[failed] = code not in PASSED
            if self._broken[failed] and not failed:
                raise SystemExit(f"mutation: pytest collects no tests in a copy of the checkout, of {tests}")
            if self._broken[failed]:
                print(f"{failed} fails without a fault, and is left out", flush=True)
        return self._broken[failed]

    def _run(self, tests: Sequence[str], limit_s: float) -> tuple[int | None, str]:
        """pytest's exit code, None where time ran out; and what failed, by its name without parameters."""
        deselections = [
            f"--deselect={name}" for name, broken in self._broken.items() if broken and name not in tests
        ]
        # A test that hangs fails before the time of the fault is over; a flow that a fixture runs may take longer.
        hang = [f"--timeout={self._args.timeout / 2}", "-o", "timeout_func_only=true"]
        command = [
            sys.executable, "-m", "pytest", "-x", "-rfE", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist",
            "-p", "benchmarks.mutation", "-m", self._args.marks, *hang, *deselections, *tests,
        ]  # fmt: skip
        if self._is_stopped:
            raise KeyboardInterrupt
        run = self._test_run = subprocess.Popen(
            command, cwd=self.folder, env=self._environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            output, _ = run.communicate(timeout=max(limit_s, 1))
        except subprocess.TimeoutExpired:
            return None, ""
        finally:
            end(run)
        failed = FAILURE.search(output)
        return run.returncode, failed[1] if failed else ""

    def stop(self) -> None:
        """Ends the tests that run; no others begin."""
        self._is_stopped = True
        if self._test_run and self._test_run.poll() is None:
            self._test_run.send_signal(signal.SIGINT)


def end(run: subprocess.Popen[str]) -> None:
    """Tests are interrupted, so that they end their own processes; then all of the group is killed."""
    if run.poll() is None:
        run.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            run.communicate(timeout=END_S)
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def report(results: Sequence[Result]) -> None:
    outcomes = (KILLED, SURVIVED, UNDECIDED)
    counts = Counter((result["path"], result["outcome"]) for result in results)
    print(f"\n{'module':<36}" + "".join(f"{outcome:>11}" for outcome in outcomes))
    for path in sorted({result["path"] for result in results}):
        print(f"{path:<36}" + "".join(f"{counts[path, outcome]:>11}" for outcome in outcomes))
    total = Counter(result["outcome"] for result in results)
    print(f"{'all':<36}" + "".join(f"{total[outcome]:>11}" for outcome in outcomes))
    for outcome in outcomes[1:]:
        print("".join(f"\n{outcome}: {each['diff']}" for each in results if each["outcome"] == outcome))


def compare(before: Sequence[Result], now: Sequence[Result]) -> None:
    """Of what both versions drew: how many each killed, and which only one of them did."""
    outcomes_before = {result["key"]: result["outcome"] for result in before}
    both = [result for result in now if result["key"] in outcomes_before]
    killed_counts = [
        sum(each == KILLED for each in (outcomes_before[r["key"]] for r in both)),
        sum(r["outcome"] == KILLED for r in both),
    ]
    print(
        f"\n{len(both)} faults drawn by both versions; killed before {killed_counts[0]}, now {killed_counts[1]}"
    )
    for result in both:
        if (outcomes_before[result["key"]] == KILLED) != (result["outcome"] == KILLED):
            print(f"{outcomes_before[result['key']]} before, {result['outcome']} now: {result['diff']}")


if __name__ == "__main__":
    raise SystemExit(main())
