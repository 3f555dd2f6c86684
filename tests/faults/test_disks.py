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


def ran_on(small_disks, step, *templates):
    """Lines of the run, up to which the disk was full, and from where it had room again."""
    command, disk, local = small_disks
    with Run(*command, *script("full_disk.py", step, disk, *templates), SPARK_LOCAL_DIRS=str(local)) as run:
        code = run.ended()
        assert code == 0, run.text
    said = [line for line in run.lines if line.partition(" ")[0] in SAID]
    assert said[:2] == ["published", "full 0"], f"the disk was not full:\n{run.text}"
    assert said[2].startswith("failed"), f"published on a full disk:\n{run.text}"
    assert said[3:] == ["unchanged", "published", "unchanged"], run.text
    return said[2].split(maxsplit=3)[1:]


@pytest.mark.parametrize("step", ["log", "reservation", "records"])
def test_a_full_disk_is_said_and_nothing_is_changed(small_disks, templates, step):
    kind, lines, text = ran_on(small_disks, step, templates)
    assert (kind, lines) == ("JobError", "1"), text
    assert "No space left" in text or "os error 28" in text, text
    assert "lost" not in text, "a full disk is no lost compare-and-swap"


@pytest.mark.slow
@pytest.mark.parametrize("step", ["staging", "shuffle"])
def test_a_disk_that_spark_fills_is_said_and_nothing_is_changed(small_disks, step):
    kind, lines, text = ran_on(small_disks, step)
    assert (kind, lines) == ("JobError", "1"), text
    assert "No space left" in text, text
