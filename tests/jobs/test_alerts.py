"""An alert is sent once until it changes, and its end is sent; what fails to be sent is sent the next time."""

from __future__ import annotations

import argparse
import json
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from jobs import show_health
from jobs.errors import WrongUsage
from jobs.health import channels
from jobs.health.alerts import (
    find_known,
    load_alerts,
    save_alerts,
    settle_alerts,
    sort_new_first,
    update_alerts,
)
from jobs.health.channels import MOST_LINES, format_message, write_json, write_prometheus
from jobs.health.indicators import FINE, WRONG, Indicator
from jobs.publishing.warehouse import Warehouse
from reference.golden import unpack
from segue.project import VARIABLE

NOW = datetime(2026, 1, 10, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
STALE = Indicator("stale", "user_features", WRONG, "it is old", "segue tables", 40.0, 30.0, "hours")
REFUSED = Indicator("refused", "plays", WRONG, "it was refused", "segue report", state="a1")
UNREADABLE = Indicator("unreadable", "plays", WRONG, "torn")


def send(known, indicators, now=NOW, delivered=True):
    """What the message says, and what is remembered."""
    alerts = update_alerts(known, indicators, now)
    due = [each for each in alerts if each.is_due]
    words = [(each.key, "over" if each.ended else "on") for each in due]
    return words, settle_alerts(alerts) if delivered else alerts


def test_an_alert_is_sent_once_and_its_end_once():
    words, known = send([], [STALE])
    assert words == [("stale user_features", "on")]
    words, known = send(known, [replace(STALE, what="it is older"), replace(STALE, subject="x", status=FINE)])
    assert words == [] and known[0].what == "it is older"
    words, known = send(known, [], NOW + 3 * HOUR)
    assert words == [("stale user_features", "over")]
    assert send(known, []) == ([], [])


def test_what_was_not_sent_yet_comes_first_and_the_rest_says_since_when():
    _, alerts = send([], [STALE, REFUSED])
    known = find_known(alerts)
    assert known == {("stale user_features", ""): NOW.isoformat(), ("refused plays", "a1"): NOW.isoformat()}
    fine, again = Indicator("disk", "root", FINE, "half full"), replace(REFUSED, state="a2")
    assert sort_new_first([STALE, again, fine], known) == [again, STALE, fine]
    # one that could not be sent is as new as before
    assert find_known(send([], [STALE], delivered=False)[1]) == {}


def test_another_state_is_sent_again():
    _, known = send([], [REFUSED])
    words, known = send(known, [replace(REFUSED, state="a2")])
    assert words == [("refused plays", "on")]
    assert send(known, [replace(REFUSED, state="a2")])[0] == []


def test_what_was_not_delivered_is_sent_with_the_next_run():
    words, known = send([], [STALE], delivered=False)
    assert words == [("stale user_features", "on")]
    words, known = send(known, [STALE, REFUSED])
    assert words == [("stale user_features", "on"), ("refused plays", "on")]
    words, known = send(known, [STALE], delivered=False)
    assert words == [("refused plays", "over")]
    assert send(known, [STALE])[0] == [("refused plays", "over")]
    # it is there again before anybody was sent its end: nobody needs to know
    assert send(known, [STALE, REFUSED])[0] == []


def test_what_was_never_delivered_ends_without_a_word():
    _, known = send([], [STALE], delivered=False)
    assert send(known, []) == ([], [])


def test_nothing_is_over_while_something_cannot_be_read():
    _, known = send([], [STALE])
    words, known = send(known, [UNREADABLE])
    assert words == [("unreadable plays", "on")]
    assert sorted(send(known, [])[0]) == [("stale user_features", "over"), ("unreadable plays", "over")]


KEYS = ("stale a", "stale b", "lag a")
NIGHTS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(KEYS), st.sampled_from("12")), st.booleans(), st.booleans()),
    max_size=12,
)


@settings(deadline=None)
@given(NIGHTS)
def test_whoever_reads_the_messages_knows_what_is_on(nights):
    known, shown, sent_states = [], {}, {}
    for states, torn, delivered in nights:
        indicators = [Indicator(*key.split(), WRONG, "x", state=state) for key, state in states.items()]
        # with something that cannot be read, the rest may not be seen
        indicators += [UNREADABLE] if torn else []
        alerts = update_alerts(known, indicators, NOW)
        due = [each for each in alerts if each.is_due]
        known = settle_alerts(alerts) if delivered else alerts
        for each in due if delivered else []:
            if each.ended:
                del shown[each.key]
            else:
                # never twice the same
                assert shown.get(each.key) != each.state
                shown[each.key] = each.state
        current = {each.key: each.state for each in indicators}
        if delivered:
            assert current.items() <= shown.items()
            assert torn or current == shown
        sent_states = {each.key: each.sent for each in known if each.sent is not None}
        assert sent_states == shown


def test_alerts_are_kept_and_a_file_that_is_none_is_none(tmp_path, caplog):
    warehouse = Warehouse(str(tmp_path))
    assert load_alerts(warehouse) == []
    _, alerts = send([], [STALE, REFUSED])
    save_alerts(warehouse, alerts)
    assert load_alerts(warehouse) == alerts
    assert [path.name for path in (tmp_path / "quality").iterdir()] == ["alerts.json"]
    for text in ("", "{", "[]", '{"alerts": [{"kind": 1}]}', '{"alerts": 3}', "null"):
        (tmp_path / "quality" / "alerts.json").write_text(text)
        assert load_alerts(warehouse) == [], text
    assert "cannot be read as a list of alerts" in caplog.text


# --- messages and files


def test_a_message_is_a_line_for_each_and_hostile_names_do_nothing():
    hostile = replace(REFUSED, subject="<!channel> & co", what="a\nb\x1b[31m\u202e" + "x" * 5000)
    _, alerts = send([], [STALE, hostile], delivered=False)
    ended = replace(alerts[0], ended=(NOW + 30 * HOUR).isoformat(), sent="")
    first, *lines = format_message([ended, alerts[1]], "ours <x>").splitlines()
    assert first == "*ours &lt;x&gt;*" and len(lines) == 2
    assert lines[0].startswith(":red_circle: *refused* &lt;!channel&gt; &amp; co: a b\\x1b[31m\\u202ex")
    assert len(lines[0]) < 1000 and "`segue report`, docs/runbook/refused.md" in lines[0]
    assert lines[1] == ":white_check_mark: *stale* user_features: over, after 30 hours"


def test_of_many_alerts_a_message_has_some():
    _, alerts = send([], [replace(STALE, subject=f"t{n}") for n in range(50)], delivered=False)
    lines = format_message(alerts, "x").splitlines()
    assert len(lines) == MOST_LINES + 2 and lines[-1].startswith("and 30 more")


def test_prometheus_reads_what_is_written(tmp_path):
    fine = Indicator("disk", 'a "disk"\n', FINE, "x", "", 5.0, 3.5, "bytes")
    path = tmp_path / "new" / "segue.prom"
    write_prometheus(str(path), [STALE, fine, REFUSED], "ours", NOW)
    samples = {
        (s.name, s.labels.get("kind"), s.labels.get("subject")): s.value
        for family in text_string_to_metric_families(path.read_text())
        for s in family.samples
    }
    about = [(each.kind, each.subject) for each in (STALE, fine, REFUSED)]
    assert [samples["segue_health_wrong", *each] for each in about] == [1, 0, 1]
    assert [samples.get(("segue_health_value", *each)) for each in about] == [40, 5, None]
    assert [samples.get(("segue_health_bound", *each)) for each in about] == [30, 3.5, None]
    assert samples["segue_health_checked_timestamp_seconds", None, None] == NOW.timestamp()
    assert [each.name for each in path.parent.iterdir()] == ["segue.prom"]


def test_json_has_the_alerts_that_are_on(tmp_path):
    _, alerts = send([], [STALE, REFUSED])
    alerts = update_alerts(alerts, [STALE], NOW + HOUR)
    write_json(str(tmp_path / "a" / "alerts.json"), alerts, "ours", NOW + HOUR)
    content = json.loads((tmp_path / "a" / "alerts.json").read_text())
    assert content["checked_at"] == "2026-01-10T06:00:00+00:00" and content["project"] == "ours"
    (alert,) = content["alerts"]
    assert (alert["kind"], alert["subject"], alert["since"]) == (
        "stale",
        "user_features",
        "2026-01-10T05:00:00+00:00",
    )


# --- the webhook, on loopback


class Receiver(BaseHTTPRequestHandler):
    answers: ClassVar[list[int]] = []
    bodies: ClassVar[list[dict]] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = Receiver.answers.pop(0) if Receiver.answers else 200
        if code == 200:
            Receiver.bodies.append(json.loads(body))
        self.send_response(code)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/services/hush"
        server.shutdown()


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return folder / "root"


@pytest.fixture
def health(golden, tmp_path, monkeypatch, capfd):
    """Runs `segue health --notify` in a project; what it printed."""
    root = shutil.copytree(golden, tmp_path / "root")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(channels, "WAITS_S", (0, 0))
    Receiver.answers, Receiver.bodies = [], []

    def run(promise, alerts):
        (tmp_path / "segue.toml").write_text(f'[slo]\nuser_features = "{promise}"\n[alerts]\n{alerts}')
        parser = argparse.ArgumentParser()
        show_health.configure(parser)
        code = show_health.run(parser.parse_args(["--root", str(root), "--notify"]))
        streams = capfd.readouterr()
        assert "hush" not in streams.out + streams.err
        return code, streams.err

    return run


def test_a_webhook_gets_each_change_once(health, address, tmp_path):
    webhook = f'webhook = "{address}"\njson_file = "out/alerts.json"\nprometheus_file = "out/segue.prom"'
    assert health("30h", webhook) == (4, "")
    assert health("30h", webhook) == (4, "")
    assert health("9999d", webhook) == (0, "")
    assert health("9999d", webhook) == (0, "")
    texts = [body["text"].splitlines()[1] for body in Receiver.bodies]
    assert [text.split(":")[1] for text in texts] == ["red_circle", "white_check_mark"]
    assert all(body.keys() == {"text"} for body in Receiver.bodies)
    assert json.loads((tmp_path / "out" / "alerts.json").read_text())["alerts"] == []
    assert 'kind="stale"' in (tmp_path / "out" / "segue.prom").read_text()


@pytest.mark.parametrize("code", [500, 404, 307])
def test_a_webhook_that_fails_is_tried_three_times_and_costs_no_night(health, address, code):
    webhook = f'webhook = "{address}"'
    Receiver.answers = [code] * 2
    assert health("30h", webhook) == (4, "") and len(Receiver.bodies) == 1
    Receiver.answers = [code] * 3
    ended, said = health("9999d", webhook)
    assert ended == 0 and f"took none of 1 alerts: it answered {code}" in said
    assert len(Receiver.bodies) == 1
    assert health("9999d", webhook) == (0, "")
    assert "over" in Receiver.bodies[1]["text"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/hush", "http://hush.invalid/x", "http://[hush/x"])
def test_a_webhook_that_is_nowhere_is_said_without_its_address(health, address):
    code, said = health("30h", f'webhook = "{address}"')
    assert code == 4 and "the webhook took none of 1 alerts" in said


def test_a_file_that_cannot_be_written_is_said(health, tmp_path):
    (tmp_path / "file").write_text("")
    code, said = health("30h", 'json_file = "file/alerts.json"\nprometheus_file = "file/segue.prom"')
    assert code == 4
    assert [line.split(" cannot be written")[0] for line in said.splitlines()] == [
        "json_file",
        "prometheus_file",
    ]


def test_a_library_that_is_missing_is_named(health, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(WrongUsage, match=r"pip install 'segue-platform\[alerts\]'"):
        health("30h", 'prometheus_file = "segue.prom"')
