"""All pages of the site, linked to each other and to nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property

from jinja2 import Environment

from expectations.attempts import Attempt
from expectations.pages import format_value, make_environment
from expectations.site.batch import Command, make_batch_page
from expectations.site.cells import LEGEND
from expectations.site.facts import RootFacts, TableFacts
from expectations.site.files import EMBEDDINGS, batch_file, feature_file, table_file
from expectations.site.index import describe_amount, describe_lags, make_index_page
from expectations.site.news import NEWS_LABELS
from expectations.site.page import Page
from expectations.site.table import TableTrends, make_table_page
from expectations.site.trends import History
from expectations.wording import format_number, format_percent

# Bytes of a page, and of how many rows a table of it begins to be cut.
LONGEST_PAGE = 500_000
MOST_ROWS = 400


class Site:
    """Rendered a page at a time, each once: a quarter of nights has thousands of batches."""

    def __init__(
        self,
        facts: RootFacts,
        trends: Mapping[str, TableTrends] | None = None,
        list_commands: Callable[[Attempt], Iterable[Command]] = lambda _: (),
        others: Sequence[Page] = (),
    ) -> None:
        """
        Args:
            trends: of tables by name, as far as there are any.
            list_commands: what to type for an attempt.
            others: more pages, to which the others link where they name their files.
        """
        self._facts, self._trends, self._list_commands, self._others = (
            facts,
            trends or {},
            list_commands,
            others,
        )
        self._histories = {table.name: History(table.attempts) for table in facts.tables}
        self._shared = {
            "site_title": facts.title,
            "made_at": facts.made_at,
            "is_there": lambda file: file in self._files,
        }

    def render(self) -> Iterator[tuple[str, str]]:
        """Every file by its path below the top folder; the index last, so that it links to what is there."""
        yield "site.css", _make_environment().get_template("site/site.css").render()
        yield "site.js", _make_environment().get_template("site/site.js").render()
        for page in self._list_pages():
            yield page.file, self._render(page)
        yield self._index.file, self.render_index()

    def render_index(self) -> str:
        return self._render(self._index)

    def _list_pages(self) -> Iterable[Page]:
        yield from self._others
        for table in self._facts.tables:
            trends = self._trends.get(table.name, TableTrends())
            yield make_table_page(table, self._facts, trends, self._list_features(table))
            history = self._histories[table.name]
            for attempt in table.attempts:
                yield make_batch_page(attempt, history, tuple(self._list_commands(attempt)))

    def _list_features(self, table: TableFacts) -> list[tuple[str, str]]:
        """The columns that have a page, and its file."""
        files = ((column, feature_file(table.name, column)) for column in table.columns)
        return [(column, file) for column, file in files if file in self._files]

    @cached_property
    def _index(self) -> Page:
        return make_index_page(self._facts, self._histories)

    @cached_property
    def _files(self) -> frozenset[str]:
        attempts = (attempt.attempt_id for table in self._facts.tables for attempt in table.attempts)
        return frozenset(
            [
                self._index.file,
                *(page.file for page in self._others),
                *(table_file(table.name) for table in self._facts.tables),
                *map(batch_file, attempts),
            ]
        )

    def _render(self, page: Page) -> str:
        template, most = _make_environment().get_template(page.template), MOST_ROWS
        about = {"title": page.title, "up": page.up, "crumbs": page.crumbs}
        values = {**self._shared, **about, **page.values}
        # most pages are a tenth of this; what is left out the page says
        while True:
            text = template.render(**values, most=most)
            if most == 1 or len(text.encode()) < LONGEST_PAGE:
                return text
            most = max(most // 2, 1)


@cache
def _make_environment() -> Environment:
    # templates are compiled once in a process
    environment = make_environment()
    environment.globals |= {
        "batch_file": batch_file,
        "embeddings_file": EMBEDDINGS,
        "feature_file": feature_file,
        "table_file": table_file,
        "legend": LEGEND,
        "news_labels": NEWS_LABELS,
        "percent": format_percent,
        "number": format_number,
    }
    environment.filters |= {
        "css": lambda status: status.replace(" ", "-"),
        "instant": format_value,
        "lags": describe_lags,
        "amount": describe_amount,
    }
    return environment
