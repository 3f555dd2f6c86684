"""Rounds of a step: what is new is taken in, a failure is said and tried again, SIGTERM ends them."""

from __future__ import annotations

import argparse
import os
import signal
from threading import Event

import pytest

from jobs.errors import JobError, WrongUsage
from jobs.rounds import parse_interval, repeat, run_rounds


class Clock(Event):
    """Sleeps by writing down how long, and ends after so many rounds."""

    def __init__(self, rounds):
        super().__init__()
        self.rounds, self.waits = rounds, []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        if len(self.waits) == self.rounds:
            self.set()
        return self.is_set()


def test_rounds_run_where_there_is_work_and_look_where_there_was_none(caplog):
    work, runs = iter([True, False, False, True]), []
    clock = Clock(5)
    repeat(lambda: runs.append(len(clock.waits)) or 0, lambda: next(work), 300, clock)
    assert runs == [0, 1, 4], "the first round runs without a look"
    assert clock.waits == [300] * 5
    assert not caplog.records


def test_a_round_that_fails_is_said_once_and_tried_again_ever_later(caplog):
    ends = [JobError("the disk is full"), JobError("the disk is full"), 3, ValueError("x" * 9 + " y z"), 0, 0]
    rounds = iter(ends)

    def run():
        end = next(rounds)
        if isinstance(end, Exception):
            raise end
        return end

    clock = Clock(6)
    repeat(run, lambda: True, 300, clock)
    assert clock.waits == [600, 1200, 2400, 3600, 300, 300]
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 3 and "the disk is full" in texts[0]
    assert "exit code 3" in texts[1]
    assert "xxxxxxxxx y z" in texts[2] and "traceback" in texts[2]


def test_a_failure_of_the_look_is_one_of_the_round(caplog):
    def look():
        raise JobError("no such folder")

    runs = []
    repeat(lambda: runs.append(1) or 0, look, 60, clock := Clock(3))
    assert clock.waits == [60, 120, 60], "after a failure a round runs without a look"
    assert len(runs) == 2


def test_wrong_usage_ends_the_first_round_and_no_other():
    def run():
        raise WrongUsage("no such option")

    with pytest.raises(WrongUsage):
        repeat(run, lambda: True, 60, Clock(2))
    ends = iter([0, WrongUsage("the source file is broken by now")])

    def run_then_break():
        end = next(ends)
        if end:
            raise end
        return 0

    repeat(run_then_break, lambda: True, 60, Clock(2))


def test_sigterm_ends_the_rounds_after_the_one_that_is_at_work():
    before, done = signal.getsignal(signal.SIGTERM), []

    def run():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("to its end")
        return 0

    assert run_rounds(run, lambda: True, 3600) == 0
    assert done == ["to its end"]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200)])
def test_an_interval_has_a_unit(text, seconds):
    assert parse_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0m", "m", "-5m", "5 m", "1d"])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no interval"):
        parse_interval(text)
