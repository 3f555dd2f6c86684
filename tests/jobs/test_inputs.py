"""What a batch is made of is said by values: no order of statements changes what it is."""

from __future__ import annotations

import pytest

from expectations.verdict import Refused
from jobs.errors import JobError
from jobs.inputs import Input
from jobs.publishing.batches import NEVER_PUBLISHED, code_version
from jobs.publishing.commits import Change, list_file_days, swap
from jobs.publishing.state import digest, read_state
from reference.published import DAYS, NOON
from reference.staged import REFUSED, LaidJob
from reference.worlds import session_play

FILES = Input("files", "two of them")


@pytest.fixture
def job(tmp_path):
    return lambda: LaidJob("test", str(tmp_path / "root"), say=lambda text: None)


def make_rows(day):
    noon = NOON + (day - DAYS[0])
    return [session_play(play_id=f"{day}", user_id="u", played_at=noon, session_started_at=noon, ds=day)]


def publish(a_job, days, **parameters):
    rows = [row for day in days for row in make_rows(day)]
    return a_job.publish(a_job.batch("sessions", days, parameters=parameters), rows)


def test_batch_guards_tables_that_were_read_against_erasure_but_has_no_fingerprint_of_them(job):
    publish(job(), DAYS[:2])
    plain_job, curious_job = job(), job()
    for look in (curious_job.state, curious_job.source, curious_job.table, curious_job.snapshot):
        look("sessions")
    batches = [each.batch("tracks", inputs=[FILES], parameters={"a": 1}) for each in (plain_job, curious_job)]
    assert len({(each.fingerprint, each.base_version) for each in batches}) == 1
    assert [list(each.input_versions) for each in batches] == [[], ["sessions"]], (
        "a table that was read and is no input may hold a listener who is erased meanwhile"
    )


def test_batch_has_the_fingerprint_of_names_content_code_and_parameters(job):
    """As tables published by earlier versions have it: else each step would publish everything again."""
    publish(job(), DAYS[:2])
    reader = job()
    days = reader.table("sessions", DAYS[:1])
    hashes = reader.source("sessions").published_hashes(DAYS[:1])
    inputs = {f"sessions {digest(DAYS[:1])}": digest(hashes), "files": FILES.fingerprint}
    expected = digest("tracks", None, inputs, code_version(), {"a": 1})
    for inputs_in_order in ([days, FILES], [FILES, None, days]):
        assert reader.batch("tracks", inputs=inputs_in_order, parameters={"a": 1}).fingerprint == expected
    assert reader.batch("tracks", inputs=[days], parameters={"a": 1}).fingerprint != expected


def test_job_table_pins_rows_and_version_before_anything_is_read(job):
    publish(job(), DAYS[:3])
    reader = job()
    some_days, all_days = reader.table("sessions", [*DAYS[1:3], DAYS[3]]), reader.table("sessions")
    publish(job(), DAYS[3:4])
    assert (some_days.count, all_days.count) == (2, 3)
    assert some_days.version == all_days.version == reader.table("sessions").version
    assert job().table("sessions").count == 4


@pytest.mark.parametrize("appends", [True, False])
def test_batch_has_a_base_version_where_its_own_table_is_input_or_base(job, appends):
    first = job().batch("sessions", DAYS[:1], [FILES], appends=appends)
    assert first.base_version == (NEVER_PUBLISHED if appends else None)
    publish(job(), DAYS[:2])
    reader = job()
    own = reader.table("sessions", DAYS[:1])
    assert reader.batch("sessions", DAYS[1:2], [own], appends=appends).base_version == own.version
    batch_with_base = reader.batch("sessions", DAYS[1:2], [FILES], base=own, deterministic=False)
    plain_batch = reader.batch("sessions", DAYS[1:2], [FILES], deterministic=False)
    assert (batch_with_base.base_version, batch_with_base.fingerprint) == (
        own.version,
        plain_batch.fingerprint,
    )
    assert dict(batch_with_base.input_versions) == {"sessions": own.version}


def test_find_gives_none_and_table_raises_where_nothing_was_published(job):
    assert job().find("tracks") is None
    with pytest.raises(JobError, match="table tracks has no data yet"):
        job().table("tracks")


def test_publish_refuses_a_batch_whose_base_was_published_to(job):
    rows = make_rows(DAYS[2])
    publish(job(), DAYS[:1])
    slow_job = job()
    batch = slow_job.batch("sessions", DAYS[2:3], [FILES], base=slow_job.find("sessions"))
    publish(job(), DAYS[1:2])
    with pytest.raises(JobError, match="was published after this step looked"):
        slow_job.publish(batch, rows)


def test_publish_refuses_a_batch_from_whose_base_rows_were_taken_out(job):
    """It was compared with them, or has them; a day that went with them is no longer there to be extended."""
    publish(job(), DAYS[:2])
    slow_job = job()
    batch = slow_job.batch(
        "sessions", DAYS[1:2], [FILES], base=slow_job.find("sessions"), extends=["longest"]
    )
    table = slow_job.warehouse.table("sessions")
    files = [path for path, day in list_file_days(table) if day == DAYS[1]]
    state = read_state(table)
    left = state.retract({DAYS[1]: (state.day_states[DAYS[1]].rows, state.day_states[DAYS[1]].content_hash)})
    swap(table, Change("retract-1", "retract", left, removes=files))
    with pytest.raises(JobError, match="version 3 took rows out after this step looked"):
        slow_job.publish(batch, make_rows(DAYS[1]))


def test_publish_calls_after_audit_for_a_refused_batch_too(job):
    staged_batches, own_job = [], job()
    rows = make_rows(DAYS[0])
    own_job.publish(own_job.batch("sessions", DAYS[:1]), rows, after_audit=staged_batches.append)
    own_job.verdict = REFUSED
    with pytest.raises(Refused):
        own_job.publish(
            own_job.batch("sessions", DAYS[:1], parameters={"n": 1}), rows, after_audit=staged_batches.append
        )
    assert [staged.verdict.refused for staged in staged_batches] == [False, True]
