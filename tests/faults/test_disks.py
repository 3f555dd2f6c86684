"""A full disk: said in words, nothing changed, and with room again the work goes on."""

from __future__ import annotations

import os
import subprocess

import pytest

from faults.runs import Run, script

# A mount that nobody else sees, for root and, where the system lets them, for others.
ALONE = ("unshare", "--mount") if os.getuid() == 0 else ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = (
    'for disk in "$1" "$2"; do mount -t tmpfs -o size=8m tmpfs "$disk" || exit 1; done; shift 2; exec "$@"'
)

SAID = ("full", "failed", "published", "unchanged", "changed")


@pytest.fixture
def small_disks(tmp_path):
    """The beginning of a command that sees two disks of 8 MB, and where they are."""
    disks = [tmp_path / "disk", tmp_path / "local"]
    for disk in disks:
        disk.mkdir()
    mounted = [*ALONE, "sh", "-c", MOUNT, "sh", *map(str, disks)]
    tried = subprocess.run([*mounted, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no disk can be mounted here: {tried.stderr.strip()}")
    return mounted, *disks


def ran_on(small_disks, steps, *templates):
    """By step, how the publishing failed: the kind of error, its lines, its text."""
    command, disk, local = small_disks
    run_of = script("full_disk.py", ",".join(steps), disk, *templates)
    with Run(*command, *run_of, SPARK_LOCAL_DIRS=str(local)) as run:
        code = run.ended()
        assert code == 0, run.text
    first, *said = [line for line in run.lines if line.partition(" ")[0] in SAID]
    assert first == "published" and len(said) == 5 * len(steps), run.text
    return {step: failure_in(said[5 * n : 5 * n + 5], step) for n, step in enumerate(steps)}


def failure_in(said, step):
    assert said[0] == f"full {step} 0", f"the disk was not full: {said}"
    assert said[1].startswith("failed"), f"published on a full disk: {said}"
    assert said[2:] == ["unchanged", "published", "unchanged"], f"{step}: {said}"
    return said[1].split(maxsplit=3)[1:]


def test_a_full_disk_is_said_and_nothing_is_changed(small_disks, templates):
    for step, failure in ran_on(small_disks, ["log", "reservation", "records"], templates).items():
        kind, lines, text = failure
        assert (kind, lines) == ("JobError", "1"), f"{step}: {text}"
        assert "No space left" in text or "os error 28" in text, f"{step}: {text}"
        assert "lost" not in text, f"{step}: a full disk is no lost compare-and-swap"


@pytest.mark.slow
def test_a_disk_that_spark_fills_is_said_and_nothing_is_changed(small_disks):
    for step, failure in ran_on(small_disks, ["staging", "shuffle"]).items():
        kind, lines, text = failure
        assert (kind, lines) == ("JobError", "1"), f"{step}: {text}"
        assert "No space left" in text, f"{step}: {text}"
