"""What jobs say is on the screen as it is, and in the root's log with the time."""

from __future__ import annotations

import logging
import re

from jobs.job import Job
from jobs.messages import LOG, log_to
from jobs.publishing.warehouse import Warehouse


def test_say_writes_to_the_screen_and_to_the_log_of_the_root(tmp_path, capsys):
    first, second = (Job("a-step", str(tmp_path / name)) for name in ("one", "two"))
    second.say("done with 50% of it")
    LOG.error("what went wrong")
    out, err = capsys.readouterr()
    assert (out, err) == (f"  {'a-step':<24}done with 50% of it\n", "what went wrong\n")
    lines = (tmp_path / "two" / "logs" / "segue.log").read_text().splitlines()
    assert [re.sub(r"^[\d-]{10} [\d:]{8} ", "", line) for line in lines] == [
        f"INFO   {'a-step':<24}done with 50% of it",
        "ERROR what went wrong",
    ]
    assert not (tmp_path / "one").exists(), "a job that said nothing has written something"
    log_to(first.warehouse)
    assert len(LOG.handlers) == 2, "roots add up"


def test_say_writes_a_name_that_is_no_utf8(tmp_path, monkeypatch):
    # pytest keeps what is logged, and its workers cannot send such a name to each other
    monkeypatch.setattr(LOG, "propagate", False)
    Job("a-step", str(tmp_path)).say("caf\udce9.csv")
    assert "caf\\udce9.csv" in (tmp_path / "logs" / "segue.log").read_text(), "the log has lost the line"


def test_say_works_though_the_log_cannot_be_written(tmp_path, capsys):
    (tmp_path / "logs").write_text("a file where the folder should be")
    Job("a-step", str(tmp_path)).say("still here")
    out, err = capsys.readouterr()
    assert "still here" in out and not err


def test_log_to_adds_no_log_for_a_root_on_an_object_store(tmp_path):
    warehouse = Warehouse(str(tmp_path))
    warehouse.remote = True
    log_to(warehouse)
    assert not any(isinstance(handler, logging.FileHandler) for handler in LOG.handlers)
