"""Which files are read, night by night, against a plain model of folders."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from jobs import file_identity
from jobs.errors import JobError
from jobs.file_identity import ListedPaths, identify_contents, identify_path
from jobs.input_files import InputFile, list_files
from jobs.known_files import READ, RECOGNISED, RETRACTED, KnownFiles, select_files
from jobs.sources import Source

SOURCE = Source(name="test", plays={"user_id": "who"})
NAMES = [f"{folder}/{name}.csv" for folder in ("a", "b") for name in ("one", "two", "thr%20ee")]


def no_session():
    raise AssertionError("a session was opened")


@dataclass
class Folder:
    """Files on disk, and what the records say of them; time only moves on where a test says so."""

    path: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    log: set[str] = field(default_factory=set)
    clock: int = 1_700_000_000
    retractions: int = 0
    nights: int = 0

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.touch(name)

    def touch(self, name: str) -> None:
        self.clock += 1
        os.utime(self.path / name, (self.clock, self.clock))

    def names(self) -> list[str]:
        return sorted(str(each.relative_to(self.path)) for each in self.path.rglob("*.csv"))

    def select(self, source: str = "s1", wanted: frozenset[str] = frozenset()) -> Any:
        known = KnownFiles.of_records(self.records, self.log)
        opened: list[str] = []

        def identify(files: Any) -> list[str]:
            opened.extend(each.path for each in files)
            return identify_contents(SOURCE, "plays", files)

        files = list_files([str(self.path)], no_session)
        delivery = select_files(
            known,
            files,
            source,
            lambda path: identify_path(SOURCE, path),
            identify,
            lambda file: self.name(file) in wanted,
        )
        assert len(opened) == len(set(opened)), "a file was opened twice"
        return delivery, opened

    def name(self, file: InputFile) -> str:
        return os.path.relpath(file.path.removeprefix("file:"), self.path)

    def take_in(self, delivery: Any, source: str, published: bool = True) -> None:
        self.nights += 1
        transaction = f"t{self.nights}"
        for outcome, files in ((READ, delivery.to_read), (RECOGNISED, delivery.recognised)):
            for each in files:
                self.records.append(
                    {
                        "outcome": outcome,
                        "transaction": transaction if outcome == READ else None,
                        "retractions": self.retractions,
                        "file_id": each.file_id,
                        "bytes": each.file.bytes,
                        "modified": each.file.modified,
                        "settings": source,
                        "content_id": each.content_id,
                    }
                )
        if published:
            self.log.add(transaction)

    def note(self, outcome: str, **values: Any) -> None:
        names = ("transaction", "file_id", "bytes", "modified", "settings", "content_id")
        row = {**dict.fromkeys(names), "retractions": self.retractions, **values}
        self.records.append({**row, "outcome": outcome})


def names_of(folder: Folder, files: Any) -> list[str]:
    return sorted(folder.name(each.file) for each in files)


# --- the model: files are texts at places, written at some time


@dataclass
class Model:
    seen: set[tuple[str, str, int, str]] = field(default_factory=set)
    texts: set[tuple[str, str]] = field(default_factory=set)

    def night(self, files: dict[str, tuple[str, int]], source: str, is_killed: bool) -> list[str]:
        read, of_tonight = [], set()
        for name in sorted(files):
            text, written = files[name]
            if (name, text, written, source) in self.seen:
                continue
            if (text, source) not in self.texts and text not in of_tonight:
                read.append(name)
                of_tonight.add(text)
        # what is recognised is in, whether or not what is read gets there
        arrived = [] if is_killed else read
        for name, (text, written) in files.items():
            if name in arrived or (text, source) in self.texts:
                self.seen.add((name, text, written, source))
        self.texts |= {(files[name][0], source) for name in arrived}
        return read


_changes = st.lists(
    st.tuples(
        st.sampled_from(
            ("new", "rename", "touch", "grow", "replace", "remove", "copy", "back", "retract", "source")
        ),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.integers(0, 3),
    ),
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given(nights=st.lists(st.tuples(_changes, st.booleans()), min_size=1, max_size=5))
def test_files_are_read_as_a_model_of_folders_has_it(tmp_path_factory, nights):
    folder, model = Folder(tmp_path_factory.mktemp("nights")), Model()
    files: dict[str, tuple[str, int]] = {}
    removed: list[tuple[str, str]] = []
    source, serial = "s1", 0

    def put(name: str, text: str) -> None:
        folder.write(name, text)
        files[name] = (text, folder.clock)

    put("always.csv", "p0")
    for changes, is_killed in nights:
        for change, name, other, n in changes:
            serial += 1
            text = files[name][0] if name in files else ""
            if change == "retract":
                folder.retractions += 1
                folder.note(RETRACTED)
                model.texts.clear()
            elif change == "source":
                source = f"s{n}"
            elif change == "new" and not text:
                put(name, f"p{serial}")
            elif change == "back" and removed:
                put(name, removed[n % len(removed)][1])
            elif not text:
                continue
            elif change == "touch":
                folder.touch(name)
                files[name] = (text, folder.clock)
            elif change == "grow":
                put(name, f"{text} p{serial}")
            elif change == "replace":
                put(name, f"q{serial}")
            elif change == "copy":
                put(other, text)
            elif change == "rename" and other != name:
                (folder.path / other).parent.mkdir(exist_ok=True)
                (folder.path / name).rename(folder.path / other)
                files[other] = files.pop(name)
            elif change == "remove":
                (folder.path / name).unlink()
                removed.append((name, files.pop(name)[0]))
        listed = {name for name, each in files.items() if (name, *each, source) in model.seen}
        expected = model.night(files, source, is_killed)
        delivery, opened = folder.select(source)
        assert names_of(folder, delivery.to_read) == expected
        assert listed.isdisjoint(folder.name(InputFile(path, 0, 0)) for path in opened)
        folder.take_in(delivery, source, published=not is_killed)
    delivery, _ = folder.select(source)
    assert names_of(folder, delivery.to_read) == (expected if is_killed else [])


def test_what_is_in_is_neither_read_nor_opened(tmp_path):
    folder = Folder(tmp_path)
    folder.write("a/one.csv", "1")
    folder.write("a/two.csv", "2")
    delivery, opened = folder.select()
    assert (names_of(folder, delivery.new), len(opened)) == (["a/one.csv", "a/two.csv"], 2)
    folder.take_in(delivery, "s1")
    delivery, opened = folder.select()
    assert (delivery.to_read, opened, delivery.describe()) == ([], [], [])


def test_a_delivery_says_what_changed_what_is_known_and_what_is_read_again(tmp_path):
    folder = Folder(tmp_path)
    for name in ("a/grown.csv", "a/moved.csv", "a/same.csv"):
        folder.write(name, name)
    folder.take_in(folder.select()[0], "s1")
    folder.write("a/grown.csv", "a/grown.csv more")
    (tmp_path / "a/moved.csv").rename(tmp_path / "a/renamed.csv")
    folder.write("a/new.csv", "new")
    folder.write("a/twin.csv", "new")
    delivery, _ = folder.select(wanted=frozenset({"a/same.csv"}))
    assert names_of(folder, delivery.changed) == ["a/grown.csv"]
    assert names_of(folder, delivery.recognised) == ["a/renamed.csv"]
    assert names_of(folder, delivery.again) == ["a/same.csv"]
    assert names_of(folder, delivery.copies) == ["a/twin.csv"]
    assert delivery.describe() == [
        "files: 3 to read, 1 new, 1 changed, 1 in already; rows whose ids are in are duplicates",
        "files: 2 hold what is in under another name or time, and are not read again",
    ]


def test_files_of_a_run_that_was_killed_before_its_commit_are_not_in(tmp_path):
    folder = Folder(tmp_path)
    folder.write("a/one.csv", "1")
    folder.take_in(folder.select()[0], "s1", published=False)
    assert names_of(folder, folder.select()[0].to_read) == ["a/one.csv"]
    folder.log.add(folder.records[0]["transaction"])
    assert folder.select()[0].to_read == []


# --- identities


def make_file(folder: Path, content: bytes, name: str = "large.csv") -> InputFile:
    (folder / name).write_bytes(content)
    return InputFile(f"file:{folder / name}", len(content), 0)


def test_content_of_a_large_file_elsewhere_is_its_size_both_ends_and_samples(tmp_path, monkeypatch):
    for name, value in (("WHOLE_BYTES", 4096), ("END_BYTES", 512), ("BLOCK_BYTES", 64), ("BLOCKS", 6)):
        monkeypatch.setattr(file_identity, name, value)
    content = random.Random(1).randbytes(8192)

    def identify(changed: bytes, is_local: bool = False) -> str:
        file = make_file(tmp_path, changed)
        with monkeypatch.context() as patch:
            if not is_local:
                elsewhere = SubTreeFileSystem(str(tmp_path), LocalFileSystem()), "large.csv"
                patch.setattr(file_identity, "filesystem_of_listed", lambda path: elsewhere)
            (id_,) = identify_contents(SOURCE, "plays", [file])
        return id_

    def change(place: int) -> bytes:
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    whole = identify(content)
    assert identify(content) == whole
    starts = [start for start, _ in file_identity._list_blocks(len(content), is_local=False)]
    assert len(starts) == 8 and starts == sorted(starts)
    for place in [*starts, 511, len(content) - 1]:
        assert identify(change(place)) != whole
    assert identify(content + b"x") != whole
    # what it cannot see there, as decision 26 says; here it does
    assert identify(change(600)) == whole
    assert identify(change(600), is_local=True) != identify(content, is_local=True)
    small = content[:4096]
    changed = {identify(small[:n] + bytes([small[n] ^ 1]) + small[n + 1 :]) for n in range(0, 4096, 97)}
    assert len(changed | {identify(small)}) == 44
    assert identify(small) == identify(small, is_local=True)


def test_content_is_that_of_the_size_that_was_listed(tmp_path):
    file = make_file(tmp_path, b"one line\n")
    before = identify_contents(SOURCE, "plays", [file])
    with (tmp_path / "large.csv").open("ab") as stream:
        stream.write(b"and one that came after the listing\n")
    assert identify_contents(SOURCE, "plays", [file]) == before


def test_where_sql_reads_the_path_a_file_that_was_moved_is_another(tmp_path):
    by_path = SOURCE.replace(plays={"user_id": "regexp_extract(file, '([^/]+)/', 1)"})
    files = [make_file(tmp_path, b"1", "a.csv"), make_file(tmp_path, b"1", "b.csv")]
    assert len(set(identify_contents(SOURCE, "plays", files))) == 1
    assert len(set(identify_contents(by_path, "plays", files))) == 2


def test_a_file_that_is_gone_since_it_was_listed_is_named(tmp_path):
    with pytest.raises(JobError, match=r"gone\.csv cannot be read"):
        identify_contents(SOURCE, "plays", [InputFile(f"file:{tmp_path}/gone.csv", 3, 0)])


def test_a_path_is_hashed_with_the_key_where_ids_are(monkeypatch):
    monkeypatch.setenv("SEGUE_ID_KEY", "k" * 64)
    keyed = SOURCE.replace(pseudonymise=("user_id",))
    assert identify_path(keyed, "file:/ada.csv") != identify_path(SOURCE, "file:/ada.csv")
    monkeypatch.setenv("SEGUE_ID_KEY", "l" * 64)
    other = identify_path(keyed, "file:/ada.csv")
    monkeypatch.setenv("SEGUE_ID_KEY", "k" * 64)
    assert identify_path(keyed, "file:/ada.csv") != other


def test_a_file_is_found_by_its_path_however_its_scheme_is_written():
    names = ["a b.csv", "100%.csv", "a%20b.csv", "ä é#?.csv", "plain.csv"]
    paths = ListedPaths([InputFile(f"file:/data/{name}", 1, 0) for name in names])
    for name in names:
        assert paths.find(f"file:///data/{name}") == paths.find(f"file:/data/{name}") == f"file:/data/{name}"
    assert paths.find("file:///data/other.csv") == "file:///data/other.csv"
