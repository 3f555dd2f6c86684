"""Whatever is typed, and whatever lies under the root: a command ends in a result or in a few plain lines."""

from __future__ import annotations

import json
import random
import re
import tempfile

import pytest

from jobs import session
from segue.command import main

RUNS = 600
SEED = 18
ODD_TEXTS = (
    "", " ", "-", "--", "0", "-1", "99999999999999999999", "NaN", "1e9", "no", "u1", "'", '"', "a b", "%s", "{}",
    "\x1b[31m", "\x00", "a\nb", "\u202ecba", "\ud800", "é", "椎名林檎", "x" * 5000, "../..", "/", ".", "~", "*",
    "2026-02-30", "2026-11-20", "0000-01-01", "9999-12-31", "plays", "plays:", ":", "plays:ms_played:x", "a[1]",
    "user_features", "s3a", "foo://x", "file:///nowhere", "http://", "=", "a=b", "None", "null", "true", "@x", "$HOME",
    "\\", "a" * 300,
)  # fmt: skip
# Of each command, what it is given: O an odd text, R an odd root, F an odd file.
FORMS = """
releases --root R
releases show O --root R
releases --json --root R
rollback O --root R
lookup O O --root R
lookup user_features O --day O --columns O --release O --root R
similar O -k O --root R
similar O --next --root R --json
skew --logged F --root R
skew --logged F --table O --at O --release O --root R
skew --logged F --bound O --tolerance O --record O --root R --json
health --root R
health --root R --json
health --root R --notify
init F
try F
try F --source O --rows O
try F --source F --table O --json
try O
sources
sources --json
files O --root R
files --history --last O --root R --json
pack --out F
schedule --format O
config
config O
files --root R
files O --root R --json
tables --root R
tables --json --root R
describe O --root R
gate O --root R
gate --root R
features O
rewards
rewards --json
catalogue --root R --out F
lineage --root R --out F
report --root R --run-id O
verify --root R
size --root R
size --root R --listeners O --tracks O
verify --root R --training-set F
plan --root R
plan --root R --source F --input F
apply --root R
apply --root R --source F --input F
maintain --root R
retract --play O --root R
retract --plays F --root R
retract --from O --to O --root R
forget --user O --root R
forget --users F --root R
restate --from O --root R
install-jars --O
training-set --root R --labels F --features O --out F
proxies --root R --target O --of O --release O
proxies --rows F --target O --of O --segment O --listener O --generated F
run O
run flow --root R --source F --input F
run ingest-plays --root R --source F --input F
run ingest-tracks --root R --source F --input F
run build-sessions --root R --day O
run build-user-features --root R --from O --to O
run train-track-embeddings --root R
run release-tables --root R
run generate-plays --out F --users O
O
O O O
--O
lookup
run
demo --days O --users O --root F/x
""".strip().splitlines()


@pytest.fixture
def odd_files(tmp_path):
    contents = {
        "empty": b"", "text": b"hello", "zeros": bytes(4096), "bytes": bytes(range(256)), "bom": b"\xef\xbb\xbf",
        "toml": b'name = "x"\nformat = "csv"\n', "torn.toml": b"[", "latin.toml": b'name = "\xe9"',
        "source.toml": b'name = "x"\n[plays]\nuser_id = "who"\n', "wrong.toml": b'name = 5\nplays = "x"\n',
        "ids.txt": b"u1\nu2\n", "labels.parquet": b"PAR1", "labels.csv": b'a,b\n"', "json": b"[{]",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return [
        *(str(path) for path in sorted(tmp_path.iterdir())),
        str(tmp_path / "nothing"),
        "/proc/x",
        "/dev/null",
    ]


@pytest.fixture
def odd_roots(tmp_path, odd_files):
    torn = {
        "truncated": '{"x',
        "list": "[]",
        "no_schema": json.dumps({"commitInfo": {}}),
        "text": "hello",
        "empty": "",
    }
    roots = []
    for name, entry in torn.items():
        for table in ("releases", "tables/user_features", "tables/plays"):
            log = tmp_path / f"root_{name}_{table.replace('/', '_')}" / table / "_delta_log"
            log.mkdir(parents=True)
            (log / f"{0:020}.json").write_text(entry)
            roots.append(str(tmp_path / f"root_{name}_{table.replace('/', '_')}"))
    gate = tmp_path / "root_gate"
    gate.mkdir()
    (gate / "gate.toml").write_text("[plays]\nx = [")
    return [*roots, str(gate), *odd_files, str(tmp_path / "new root é"), "foo://x", "a\x00b", ""]


@pytest.fixture
def _no_session(monkeypatch):
    """A machine whose JVM does not start, so that a command that gets as far ends there."""

    def fail(*_):
        raise RuntimeError(
            "[JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number."
        )

    monkeypatch.setattr(session, "open_session", fail)


def test_forms_have_every_command_that_the_help_lists(capsys):
    assert main(["--help"]) == 0
    listed = re.findall(
        "^  ([a-z][a-z-]*)  ", capsys.readouterr().out.partition("commands:")[2], re.MULTILINE
    )
    assert len(listed) > 20, "the help is laid out otherwise: nothing was found in it"
    assert sorted(set(listed) - {form.split()[0] for form in FORMS}) == []


@pytest.mark.usefixtures("_no_session")
def test_odd_commands_end_in_a_result_or_in_plain_lines(tmp_path, odd_files, odd_roots, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path / "folder")
    # where tracebacks go
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    choices, faults = random.Random(SEED), []
    words = {"O": ODD_TEXTS, "R": odd_roots, "F": odd_files}
    for n in range(RUNS):
        form = FORMS[n % len(FORMS)]
        argv = [re.sub("^[ORF]", lambda kind: choices.choice(words[kind[0]]), word) for word in form.split()]
        code = main(argv)
        streams = capfd.readouterr()
        if problem := _find_fault(code, streams.err, streams.out):
            faults.append(f"{[word[-60:] for word in argv]}: {problem}")
    assert not faults, "\n".join(faults)


def _find_fault(code, err, out):
    lines = [line for line in err.splitlines() if line.strip() and not line.startswith(("usage:", " "))]
    if code not in (0, 1, 2, 3, 4):
        return f"exit code {code}"
    if "Traceback (most recent call last)" in err:
        return "a traceback: " + err[-300:]
    # nobody expected it: whoever read it has to say what was typed
    if "the traceback is in" in err and "JAVA_GATEWAY_EXITED" not in err:
        return "unexpected: " + err[:300]
    if len(lines) > 3 or any(len(line) > 2100 for line in lines):
        return f"{len(lines)} lines: " + err[:300]
    if code and not lines and not out:
        return f"exit code {code} and no word"
    return "a control character" if re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", err) else ""
