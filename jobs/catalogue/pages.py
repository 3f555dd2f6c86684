"""The catalogue as pages: an index with everything that can be searched, and pages of each table with its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from jinja2 import Environment

from expectations.pages import file_stem, make_environment
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.entries import TableEntry
from jobs.catalogue.inventory import Published
from jobs.catalogue.wording import (
    format_input,
    format_some,
    group_by_table,
    list_column_facts,
    list_table_facts,
)

# A column with its facts and expectations is some 3 kB: a page stays below half a megabyte.
COLUMNS_ON_A_PAGE = 120
FOLDER = "tables"


@dataclass(frozen=True)
class Place:
    """Where a column is: the file, from the top folder, and the anchor in it."""

    file: str
    anchor: str

    def href(self, up: str = "") -> str:
        return f"{up}{self.file}#{quote(self.anchor)}" if self.anchor else f"{up}{self.file}"


class Pages:
    """Rendered one at a time: a project can have thousands of columns."""

    def __init__(self, catalogue: Catalogue, title: str, made_at: datetime | None = None) -> None:
        self._catalogue, self._title = catalogue, title
        self._made_at = made_at or datetime.now(UTC)
        self._tables = {name: catalogue.describe_table(name) for name in catalogue.tables}
        self._places = {name: list_places(catalogue, name) for name in catalogue.tables}
        self._environment = self._make_environment()

    def render(self) -> Iterator[tuple[str, str]]:
        """Every file by its path below the top folder."""
        yield "index.html", self._render("index.html", title=self._title, columns=self._list_columns(), up="")
        for name in self._tables:
            yield from self._render_table(name)

    def _render_table(self, name: str) -> Iterator[tuple[str, str]]:
        entries, table = list(self._catalogue.describe_columns(name)), self._tables[name]
        files = list(dict.fromkeys([_name_file(name), *(p.file for p in self._places[name].values())]))
        for file in files:
            yield (
                file,
                self._render(
                    "table.html",
                    title=f"{name}: {self._title}",
                    table=table,
                    expectations=self._catalogue.list_expectations(name),
                    columns=[entry for entry in entries if self._places[name][entry.column].file == file],
                    count=len(entries),
                    files=files,
                    file=file,
                    up="../",
                ),
            )

    def _render(self, template: str, **values: object) -> str:
        shared = {"tables": self._tables, "made_at": self._made_at, "top": self._title}
        return self._environment.get_template(template).render(**shared, **values)

    def _list_columns(self) -> dict[str, Sequence[tuple[str, str]]]:
        """Name and meaning of each column, by table."""
        find = self._catalogue.find_column
        return {
            name: [(column, find(name, column).comment) for column in places]
            for name, places in self._places.items()
        }

    def _link(self, table: str, column: str = "") -> str | None:
        """Where a table or a column of it is; None for what has no page, as the files of a source."""
        if column:
            place = self._places.get(table, {}).get(column)
            return place.href() if place else None
        return Place(_name_file(table), "").href() if table in self._tables else None

    def _make_environment(self) -> Environment:
        environment = make_environment("jobs.catalogue")
        environment.globals |= {"link": self._link, "describe_age": _describe_age}
        environment.filters |= {
            "by_table": group_by_table,
            "some": format_some,
            "use": format_input,
            "table_facts": _list_page_facts,
        }
        environment.globals["column_facts"] = list_column_facts
        return environment


def list_places(catalogue: Catalogue, table: str) -> dict[str, Place]:
    """Of each column of a table, by its name."""
    columns = enumerate(catalogue.columns(table))
    return {name: Place(_name_file(table, n // COLUMNS_ON_A_PAGE), name) for n, name in columns}


def _list_page_facts(entry: TableEntry) -> Iterator[tuple[str, str]]:
    # what the head of the page and its links say already
    shown = ("meaning", "note", "made of", "used by", "published", "days")
    return ((name, value) for name, value in list_table_facts(entry) if name not in shown)


def _describe_age(published: Published | None) -> str | None:
    if published is None or published.age_days is None:
        return None
    return f"{published.age_days:,} day{'' if published.age_days == 1 else 's'}"


def _name_file(table: str, number: int = 0) -> str:
    return f"{FOLDER}/{file_stem('table', table)}{f'-{number + 1}' if number else ''}.html"
