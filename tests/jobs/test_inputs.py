"""What a batch is made of is said by values: no order of statements changes what it is."""

from __future__ import annotations

import pytest

from expectations.verdict import Refused
from jobs.errors import JobError
from jobs.inputs import Input
from jobs.publishing.batches import NEVER_PUBLISHED, code_version
from jobs.publishing.state import digest
from reference.published import DAYS, NOON
from reference.staged import REFUSED, LaidJob
from reference.worlds import heard

FILES = Input("files", "two of them")


@pytest.fixture
def job(tmp_path):
    return lambda: LaidJob("test", str(tmp_path / "root"), say=lambda text: None)


def rows_of(day):
    noon = NOON + (day - DAYS[0])
    return [heard(play_id=f"{day}", user_id="u", played_at=noon, session_started_at=noon, ds=day)]


def publish(a_job, days, **parameters):
    rows = [row for day in days for row in rows_of(day)]
    return a_job.publish(a_job.batch("sessions", days, parameters=parameters), rows)


def test_what_a_job_looks_at_is_guarded_against_erasure_and_identifies_no_batch(job):
    publish(job(), DAYS[:2])
    plain, curious = job(), job()
    for look in (curious.state, curious.source, curious.table, curious.snapshot):
        look("sessions")
    batches = [each.batch("tracks", inputs=[FILES], parameters={"a": 1}) for each in (plain, curious)]
    assert len({(each.fingerprint, each.base_version) for each in batches}) == 1
    assert [list(each.input_versions) for each in batches] == [[], ["sessions"]], (
        "a table that was read and is no input may hold a listener who is erased meanwhile"
    )


def test_a_fingerprint_is_that_of_names_content_code_and_parameters(job):
    """As tables published by earlier versions have it: else each step would publish everything again."""
    publish(job(), DAYS[:2])
    reader = job()
    days = reader.table("sessions", DAYS[:1])
    hashes = reader.source("sessions").published_hashes(DAYS[:1])
    inputs = {f"sessions {digest(DAYS[:1])}": digest(hashes), "files": FILES.fingerprint}
    expected = digest("tracks", None, inputs, code_version(), {"a": 1})
    for given in ([days, FILES], [FILES, None, days]):
        assert reader.batch("tracks", inputs=given, parameters={"a": 1}).fingerprint == expected
    assert reader.batch("tracks", inputs=[days], parameters={"a": 1}).fingerprint != expected


def test_an_input_has_its_rows_counted_and_its_version_kept_before_anything_is_read(job):
    publish(job(), DAYS[:3])
    reader = job()
    some, all_of_it = reader.table("sessions", [*DAYS[1:3], DAYS[3]]), reader.table("sessions")
    publish(job(), DAYS[3:4])
    assert (some.count, all_of_it.count) == (2, 3)
    assert some.version == all_of_it.version == reader.table("sessions").version
    assert job().table("sessions").count == 4


@pytest.mark.parametrize("appends", [True, False])
def test_a_batch_rests_on_its_own_table_where_it_is_made_of_it_or_compared_with_it(job, appends):
    first = job().batch("sessions", DAYS[:1], [FILES], appends=appends)
    assert first.base_version == (NEVER_PUBLISHED if appends else None)
    publish(job(), DAYS[:2])
    reader = job()
    own = reader.table("sessions", DAYS[:1])
    assert reader.batch("sessions", DAYS[1:2], [own], appends=appends).base_version == own.version
    based = reader.batch("sessions", DAYS[1:2], [FILES], base=own, deterministic=False)
    plain = reader.batch("sessions", DAYS[1:2], [FILES], deterministic=False)
    assert (based.base_version, based.fingerprint) == (own.version, plain.fingerprint)
    assert dict(based.input_versions) == {"sessions": own.version}


def test_a_table_that_was_never_published_is_none_or_an_error(job):
    assert job().find("tracks") is None
    with pytest.raises(JobError, match="table tracks has no data yet"):
        job().table("tracks")


def test_a_base_that_was_published_to_ends_the_publication(job):
    rows = rows_of(DAYS[2])
    publish(job(), DAYS[:1])
    slow = job()
    batch = slow.batch("sessions", DAYS[2:3], [FILES], base=slow.find("sessions"))
    publish(job(), DAYS[1:2])
    with pytest.raises(JobError, match="was published after this step looked"):
        slow.publish(batch, rows)


def test_a_step_between_the_audit_and_the_commit_is_done_for_a_refused_batch_too(job):
    seen, wrong = [], job()
    rows = rows_of(DAYS[0])
    wrong.publish(wrong.batch("sessions", DAYS[:1]), rows, after_audit=seen.append)
    wrong.verdict = REFUSED
    with pytest.raises(Refused):
        wrong.publish(wrong.batch("sessions", DAYS[:1], parameters={"n": 1}), rows, after_audit=seen.append)
    assert [staged.verdict.refused for staged in seen] == [False, True]
