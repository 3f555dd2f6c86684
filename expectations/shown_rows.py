"""Rows of quarantine in pages that were written, and how they are taken out of them again."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

# As the macro `quarantine_rows` writes them. All that it shows is escaped, so that no value ends a section. Pages of
# before have them without the section, up to the end of the batch or the next heading.
_SHOWN = re.compile(
    r'<section class="kept-rows" data-table="([^"]*)" data-attempt="([^"]*)">.*?</section>'
    r'|<p class="soft">Up to 100 of each\. Keys are hashed \(.*?(?=</article>|<h2>|</main>)',
    re.DOTALL,
)


def remove_shown_rows(page: str, is_gone: Callable[[str, str], bool], words: str) -> str:
    """The page with `words` in place of the rows that are gone.

    Args:
        is_gone: of a table and an attempt; both are empty for rows of a page that does not say whose they are.
    """

    def replace(match: re.Match[str]) -> str:
        table, attempt = (html.unescape(each or "") for each in match.groups())
        return f'<p class="soft">{html.escape(words)}</p>\n' if is_gone(table, attempt) else match[0]

    return _SHOWN.sub(replace, page)
