"""Where each page lies, from the top folder of the site: names that need no quoting in an address."""

from __future__ import annotations

from expectations.pages import file_stem

INDEX, EMBEDDINGS = "index.html", "embeddings.html"


def table_file(table: str) -> str:
    return f"tables/{file_stem('table', table)}.html"


def batch_file(attempt_id: str) -> str:
    return f"batches/{file_stem('batch', attempt_id)}.html"


def feature_file(table: str, column: str) -> str:
    return f"features/{file_stem('table', table)}.{file_stem('column', column)}.html"
