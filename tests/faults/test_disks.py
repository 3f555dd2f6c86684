"""A full disk: said in words, nothing changed, and with room again the work goes on."""

from __future__ import annotations

import os
import subprocess

import pytest

from faults.runs import Run, make_command

# A mount that nobody else sees, for root and, where the system lets them, for others.
UNSHARE = ("unshare", "--mount") if os.getuid() == 0 else ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = (
    'for disk in "$1" "$2"; do mount -t tmpfs -o size=8m tmpfs "$disk" || exit 1; done; shift 2; exec "$@"'
)

REPORT_WORDS = ("full", "failed", "published", "unchanged", "changed")


@pytest.fixture
def small_disks(tmp_path):
    """The beginning of a command that sees two disks of 8 MB, and where they are."""
    disks = [tmp_path / "disk", tmp_path / "local"]
    for disk in disks:
        disk.mkdir()
    mount_command = [*UNSHARE, "sh", "-c", MOUNT, "sh", *map(str, disks)]
    probe = subprocess.run([*mount_command, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no disk can be mounted here: {probe.stderr.strip()}")
    return mount_command, *disks


def run_on(small_disks, steps, *templates):
    """By step, how the publishing failed: the kind of error, its lines, its text."""
    command, disk, local = small_disks
    driver = make_command("full_disk.py", ",".join(steps), disk, *templates)
    with Run(*command, *driver, SPARK_LOCAL_DIRS=str(local)) as run:
        code = run.wait()
        assert code == 0, run.text
    first, *reports = [line for line in run.lines if line.partition(" ")[0] in REPORT_WORDS]
    assert first == "published" and len(reports) == 5 * len(steps), run.text
    return {step: parse_failure(reports[5 * n : 5 * n + 5], step) for n, step in enumerate(steps)}


def parse_failure(reports, step):
    assert reports[0] == f"full {step} 0", f"the disk was not full: {reports}"
    assert reports[1].startswith("failed"), f"published on a full disk: {reports}"
    assert reports[2:] == ["unchanged", "published", "unchanged"], f"{step}: {reports}"
    return reports[1].split(maxsplit=3)[1:]


def test_publish_on_a_full_disk_raises_a_clear_error_and_changes_nothing(small_disks, templates):
    for step, failure in run_on(small_disks, ["log", "reservation", "records"], templates).items():
        kind, lines, text = failure
        assert (kind, lines) == ("JobError", "1"), f"{step}: {text}"
        assert "No space left" in text or "os error 28" in text, f"{step}: {text}"
        assert "lost" not in text, f"{step}: a full disk is no lost compare-and-swap"


@pytest.mark.slow
def test_publish_by_spark_on_a_full_disk_raises_a_clear_error_and_changes_nothing(small_disks):
    for step, failure in run_on(small_disks, ["staging", "shuffle"]).items():
        kind, lines, text = failure
        assert (kind, lines) == ("JobError", "1"), f"{step}: {text}"
        assert "No space left" in text, f"{step}: {text}"
