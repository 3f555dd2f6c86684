"""Files with ids of listeners, as people and their programs write them."""

from __future__ import annotations

import pytest

from jobs.errors import WrongUsage
from jobs.user_ids import list_first, read_ids


@pytest.mark.parametrize(
    "content",
    [
        b"u1\nU2\n",
        b"\xef\xbb\xbfu1\nU2",
        b"u1\r\nU2\r\n",
        b"u1\rU2\r",
        b'"u1"\n"U2"\n',
        b"\n  u1 \n\nU2\nu1\n",
        "u1\r\nU2\r\n".encode("utf-16"),
        "u1\nU2".encode("utf-16-be").join([b"\xfe\xff", b""]),
    ],
)
def test_read_ids_gives_the_ids_of_a_file_whatever_program_wrote_it(tmp_path, content):
    path = tmp_path / "ids"
    path.write_bytes(content)
    assert read_ids(["u0", "u1"], str(path), "--users") == ["u0", "u1", "U2"]


@pytest.mark.parametrize(
    ("line", "id_"), [('"a""b"', 'a"b'), ('"', '"'), ('a"b', 'a"b'), ("a,b", "a,b"), ("ü", "ü")]
)
def test_read_ids_unquotes_a_line_that_is_quoted_whole(tmp_path, line, id_):
    path = tmp_path / "ids"
    path.write_text(line, encoding="utf-8")
    assert read_ids([], str(path), "--users") == [id_]


@pytest.mark.parametrize("content", [b"u1\n\xff\n", b"u1\n\xe9\n"])
def test_read_ids_refuses_a_file_that_is_no_text(tmp_path, content):
    path = tmp_path / "ids"
    path.write_bytes(content)
    with pytest.raises(WrongUsage, match="byte 3 is no UTF-8; save the file as UTF-8"):
        read_ids([], str(path), "--users")


def test_list_first_shows_ids_as_a_terminal_can_show_them():
    shown = list_first(["\x1b[31mu1", "u\u202e2", "x" * 5000, *(f"u{n}" for n in range(20))])
    assert shown.startswith("\\x1b[31mu1, u\\u202e2, xxx") and shown.endswith(", …") and len(shown) < 300
