"""Ids by keyed hash, and what files say of a person besides: none of it is in anything that an ingest writes."""

from __future__ import annotations

import argparse
import hashlib
import json

import pyarrow.dataset as pads
import pytest

from jobs import forget, ingest_plays
from jobs.errors import JobError, WrongUsage
from jobs.personal_rows import list_kept_columns
from jobs.pseudonyms import (
    KEY,
    KEY_BEFORE,
    KEY_FILE,
    check_key,
    find_hash,
    hash_id,
    identify_key,
    read_key,
    read_known_key,
    wrap,
)
from jobs.publishing.commits import Change, swap
from jobs.publishing.state import TableState
from jobs.publishing.warehouse import Warehouse
from jobs.sources import column_map, load_source
from reference.published import pass_every_batch
from schemas import CONTRACTS

SECRET = "0123456789abcdef" * 4
# What must be nowhere: ids, an address, a name, a mail, a device, an unknown column, the key.
TRACES = ("ada-l", "203.0.113.7", "Ada Lovelace", "ada@example.org", "SM-G991B", "Main Street 5", SECRET)
SOURCE = """
name = "app"
format = "json"
pseudonymise = ["user_id", "play_id"]
[plays]
play_id = "id"
user_id = "lower(who)"
track_id = "track"
played_at = "at"
"""
PERSON = {"ip": TRACES[1], "name": TRACES[2], "mail": TRACES[3], "device": TRACES[4], "street": TRACES[5]}


def row(id_, who, at, **more):
    return json.dumps({"id": id_, "who": who, "track": "t1", "at": at, **PERSON, **more})


ROWS = [
    row("ada-l/1", "Ada-L", "2026-10-01T10:00:00Z"),
    row("ada-l/2", " ada-l ", "2026-10-02T10:00:00Z"),
    row("ada-l/3", "", "2026-10-02T10:00:00Z"),
    row("ada-l/4", "ada-l", "soon"),
    row("ada-l/5", "ada-l", "2026-10-02T10:00:00Z")[:-9],
]


@pytest.fixture
def key(monkeypatch):
    monkeypatch.delenv(KEY_FILE, raising=False)
    monkeypatch.setenv(KEY, SECRET)


def hmac_sha256(key: bytes, text: bytes) -> str:
    """From the definition, RFC 2104."""
    block = key.ljust(64, b"\0") if len(key) <= 64 else hashlib.sha256(key).digest().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


@pytest.mark.parametrize("secret", [SECRET, "k" * 32, "long" * 40])
def test_hash_id_is_hmac(secret):
    assert hash_id(secret.encode(), "ü1") == hmac_sha256(secret.encode(), "ü1".encode())[:32]


def test_key_comes_from_the_environment_or_a_file(key, monkeypatch, tmp_path):
    assert read_key() == SECRET.encode()
    (tmp_path / "id.key").write_text(SECRET + "\n")
    monkeypatch.delenv(KEY)
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "id.key"))
    assert read_key() == SECRET.encode()
    assert len(identify_key()) == 8 and identify_key() not in SECRET


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (KEY, "", "no key in SEGUE_ID_KEY or SEGUE_ID_KEY_FILE; write one with"),
        (KEY, "short-secret", "the key has 12 characters, expected 32 or more"),
        (KEY_FILE, "/nowhere", "cannot be read: No such file or directory"),
        (KEY_FILE, "/", "cannot be read: Is a directory"),
    ],
)
def test_key_that_cannot_be_used_is_one_line_without_it(monkeypatch, name, value, message):
    for each in (KEY, KEY_FILE):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongUsage, match=message) as refusal:
        read_key()
    assert "short-secret" not in str(refusal.value)


def test_fingerprint_of_a_source_depends_on_the_key_and_does_not_hold_it(key, monkeypatch, tmp_path):
    (tmp_path / "s.toml").write_text(SOURCE)
    source = load_source(str(tmp_path / "s.toml"))
    first = source.parameters("plays")
    assert SECRET not in str(first)
    monkeypatch.setenv(KEY, SECRET[::-1])
    assert source.parameters("plays") != first
    assert column_map(source, "plays", list(source.plays))["user_id"] == wrap("lower(who)")


def test_kept_columns_are_those_that_sql_reads_but_none_of_replaced_ids(tmp_path):
    (tmp_path / "s.toml").write_text(SOURCE + 'saved = "concat(WHO, liked)"\n')
    source = load_source(str(tmp_path / "s.toml"))
    assert list_kept_columns(source, source.plays) == {"track", "at", "liked"}


def lay_keys(root, *id_keys, table="plays"):
    """A table whose ids were replaced with these keys, one after the other."""
    warehouse = Warehouse(str(root))
    opened, state = warehouse.create(CONTRACTS[table]), TableState(0)
    for id_key in id_keys:
        state = state.add_id_key(id_key)
    swap(opened, Change("b-0", "publish", state))
    return warehouse


def test_keys_in_quarantine_are_hashed_with_the_key_of_the_root_where_it_is_known(key, monkeypatch, tmp_path):
    # a key that no id was replaced with is none of this root's
    assert find_hash(Warehouse(str(tmp_path)), "sessions").meaning.startswith("salted: ")
    keyed = find_hash(lay_keys(tmp_path, identify_key()), "sessions")
    assert keyed("x") == hash_id(read_key(), "x")
    assert keyed.meaning == f"keyed: with the key of the ids of this root, check value {identify_key()}"
    monkeypatch.delenv(KEY)
    salted, other = (find_hash(Warehouse(str(tmp_path)), "sessions") for _ in range(2))
    assert salted.meaning.startswith("salted: ")
    # another each time, and kept nowhere
    assert salted("x") == salted("x") != other("x")


def test_another_key_is_refused_unless_it_is_meant(key, monkeypatch, tmp_path):
    (tmp_path / "s.toml").write_text(SOURCE)
    source = load_source(str(tmp_path / "s.toml"))
    first = identify_key()
    warehouse = lay_keys(tmp_path / "root", first)
    assert check_key(warehouse, source, "plays") == first
    monkeypatch.setenv(KEY, SECRET[::-1])
    second = identify_key()
    remedy = f"check value {second}, before {first}.*the key of before.*set {KEY_BEFORE}={first},"
    # events of a project are of the same listeners
    for table in ("plays", "rejected_plays"):
        with pytest.raises(WrongUsage, match=remedy) as refusal:
            check_key(warehouse, source, table)
    assert SECRET[::-1] not in str(refusal.value)
    monkeypatch.setenv(KEY_BEFORE, second)
    with pytest.raises(WrongUsage, match=remedy):
        check_key(warehouse, source, "plays")
    monkeypatch.setenv(KEY_BEFORE, first)
    assert check_key(warehouse, source, "plays") == second
    # sources without pseudonyms need no key, and mean nothing by it
    monkeypatch.delenv(KEY)
    assert check_key(warehouse, source.replace(pseudonymise=()), "plays") == ""


def test_state_of_a_table_keeps_its_keys_in_order_and_says_nothing_of_none():
    state = TableState(3).add_id_key("")
    assert "id_keys" not in state.dumps()
    for id_key in ("k1", "k1", "k2", "k1"):
        state = state.add_id_key(id_key)
    assert state.id_keys == ("k1", "k2", "k1")
    assert TableState.loads(3, state.dumps()).id_keys == state.id_keys


def test_forget_takes_any_key_that_ids_were_replaced_with_and_no_other(key, monkeypatch, tmp_path):
    first = identify_key()
    monkeypatch.setenv(KEY, SECRET[::-1])
    warehouse = lay_keys(tmp_path, first, identify_key())
    for secret in (SECRET, SECRET[::-1]):
        monkeypatch.setenv(KEY, secret)
        assert read_known_key(warehouse, ["tracks", "plays"]) == secret.encode()
    monkeypatch.setenv(KEY, "another" * 9)
    with pytest.raises(WrongUsage, match=rf"no id in .* was replaced .*known are {first}, .*ingested with"):
        read_known_key(warehouse, ["tracks", "plays"])


def test_forget_finds_listeners_by_the_ids_of_the_source(key, tmp_path):
    for flags, ids in (([], ["ada-l"]), (["--pseudonymise"], [hash_id(SECRET.encode(), "ada-l")])):
        parser = argparse.ArgumentParser()
        forget.configure(parser)
        assert (
            forget.list_users(parser.parse_args(["--user", "ada-l", *flags]), Warehouse(str(tmp_path))) == ids
        )


def test_forget_looks_for_hashed_ids_in_tables(key, tmp_path, monkeypatch):
    """The command itself: an erasure that looked for the source's id would find nobody, with a receipt that says so."""
    Warehouse(str(tmp_path)).create(CONTRACTS["plays"])
    looked_for = []

    def note(job, ids):
        looked_for.extend(ids)
        raise JobError("no more is looked at here")

    monkeypatch.setattr(forget, "_erase_all", note)
    with pytest.raises(JobError, match="no more is looked at"):
        forget.main(["--root", str(tmp_path), "--user", "ada-l", "--pseudonymise"])
    assert looked_for == [hash_id(SECRET.encode(), "ada-l")]


def test_nothing_of_a_person_is_written(spark, key, tmp_path, monkeypatch, capfd):
    pass_every_batch(monkeypatch)
    (tmp_path / "s.toml").write_text(SOURCE)
    (tmp_path / "log.json").write_text("\n".join(ROWS))
    root = tmp_path / "root"
    arguments = [
        "--root",
        str(root),
        "--source",
        str(tmp_path / "s.toml"),
        "--input",
        str(tmp_path / "log.json"),
    ]
    assert ingest_plays.main(arguments) == 0
    tables = {name: Warehouse(str(root)).table(name) for name in ("plays", "rejected_plays")}
    plays, rejects = (pads.dataset(table.file_uris()).to_table().to_pylist() for table in tables.values())
    who = hmac_sha256(SECRET.encode(), b"ada-l")[:32]
    assert {play["user_id"] for play in plays} == {who}, "written in two ways, as SQL says the same listener"
    assert len({play["play_id"] for play in plays}) == len(plays) == 2
    reasons = {tuple(reject["reasons"]): (reject["raw"], reject["user_id"]) for reject in rejects}
    assert reasons == {
        ("user_id is missing",): ('{"at":"2026-10-02T10:00:00Z","track":"t1"}', None),
        ("played_at is no timestamp",): ('{"at":"soon","track":"t1"}', who),
        ("the line is broken",): (f"(a line of {len(ROWS[-1])} characters)", None),
    }
    written = "".join(map(str, (*plays, *rejects))) + "".join(capfd.readouterr())
    written += "".join(file.read_bytes().decode("latin-1") for file in root.rglob("*") if file.is_file())
    assert [trace for trace in TRACES if trace.lower() in written.lower()] == []
    # the next night, with another key
    assert Warehouse(str(root)).state("plays").id_keys == (identify_key(),)
    monkeypatch.setenv(KEY, SECRET[::-1])
    with pytest.raises(WrongUsage, match="the same listeners would be others"):
        ingest_plays.main(arguments)
