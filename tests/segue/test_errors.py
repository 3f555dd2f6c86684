"""Of what a store says, whoever reads an error gets the cause and what to check."""

from __future__ import annotations

import pytest

from segue.errors import S3_SETTINGS, first_line
from segue.failures import describe_cause

ARROW = "\n   \x1b[31m\u21b3\x1b[0m "
HEAD = f"Kernel error -> Generic S3 error{ARROW}Error performing GET http://127.0.0.1:9000/lake/_delta_log"
NO_BUCKET = f"""{HEAD} in 20ms - Server returned non-2xx status code{ARROW}404 Not Found{ARROW}\
<?xml version="1.0" encoding="utf-8"?>
<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message>
</Error>
"""
REFUSED = f"{HEAD} in 15s{ARROW}180s  - HTTP error{ARROW}client error (Connect){ARROW}Connection refused (os error 111)"
PAGE = f"{HEAD} in 1s{ARROW}503 Service Unavailable{ARROW}<html>\n<h1>Busy</h1>\n</html>"
NO_KEYS = f"Generic S3 error{ARROW}Error performing PUT http://169.254.169.254/latest/api/token in 3s{ARROW}timed out"
PYARROW = (
    "When listing objects under key 'root/' in bucket 'lake': AWS Error NETWORK_CONNECTION during ListObjectsV2 "
    "operation: curlCode: 7, Could not connect to server"
)
CAUSES = {
    NO_BUCKET: "http://127.0.0.1:9000: The specified bucket does not exist",
    REFUSED: "http://127.0.0.1:9000: Connection refused (os error 111)",
    PAGE: "http://127.0.0.1:9000: 503 Service Unavailable",
    NO_KEYS: "no keys are set (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), and this machine gives none",
    PYARROW: PYARROW,
}


@pytest.mark.parametrize(
    ("text", "cause"), CAUSES.items(), ids=["bucket", "refused", "page", "keys", "pyarrow"]
)
def test_first_line_of_an_error_of_s3_is_its_cause_and_what_to_check(text, cause):
    line = f"{cause}. Check {S3_SETTINGS}"
    assert first_line(OSError(text)) == line
    assert describe_cause(OSError(text)) == line, "the command says something else than its steps do"
    wrapped = f"the table cannot be read: {line}"
    assert first_line(ValueError(wrapped)) == wrapped, "said once more of an error that was made of it"


def test_first_line_joins_other_causes_and_never_says_nothing():
    assert first_line(OSError(f"Json error{ARROW}cut off\nmore")) == "Json error: cut off"
    assert first_line(AssertionError()) == "AssertionError"
    assert first_line("") == "no reason given"
