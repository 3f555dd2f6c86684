"""One HTML page that needs nothing but itself: escaping, tables and how it looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from html import escape
from typing import Any

from expectations.wording import format_number

NOTHING = "\N{EN DASH}"


class Html(str):
    """Text that is HTML already; everything else is escaped."""


def html(value: Any) -> Html:
    """Any value of a row as it should be read."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Html(NOTHING)
    if isinstance(value, datetime):
        return Html(f"{value:%Y-%m-%d %H:%M} UTC")
    if isinstance(value, bool | date):
        return Html(escape(str(value)))
    return Html(escape(format_number(value)))


def tag(name: str, *content: Any, **attributes: str) -> Html:
    """An element; `class_` is the attribute class, `data_label` the attribute data-label."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    said = "".join(f' {key}="{escape(value)}"' for key, value in named.items())
    return Html(f"<{name}{said}>{''.join(map(html, content))}</{name}>")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """On a phone each row is a block, in which `data-label` stands for the head of the column."""
    rows = list(rows)
    kinds = ["number" if _is_number(value) else "text" for value in (rows or [columns])[0]]
    head = (tag("th", column, scope="col", class_=kind) for column, kind in zip(columns, kinds, strict=True))
    body = (
        tag("tr", *(tag("td", value, data_label=column, class_=kind) for column, value, kind in cells))
        for cells in (zip(columns, row, kinds, strict=True) for row in rows)
    )
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))


def document(title: str, *content: Html) -> str:
    head = (
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    body = tag("main", *content) + tag("script", Html(SCRIPT))
    return f'<!doctype html>\n<html lang="en">{tag("head", *head)}{tag("body", Html(body))}</html>\n'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Status is a word and a sign first; the colour only repeats it.
STYLE = """
:root {
  --paper: #fbfaf8; --card: #fff; --ink: #1f2328; --soft: #5f6670; --line: #e6e3dd;
  --held: #2f6f4f; --broken: #a8322a; --broken-paper: #fdf3f1; --warning: #7d5408; --warning-paper: #fdf7e9;
}
@media (prefers-color-scheme: dark) { :root {
  --paper: #15171a; --card: #1c1f23; --ink: #e4e5e7; --soft: #9aa1ab; --line: #2e3237;
  --held: #7cc29c; --broken: #f08a80; --broken-paper: #2b1d1c; --warning: #dcb35f; --warning-paper: #29231a;
} }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem }
h1 { font-size: 1.6rem; letter-spacing: -.01em; margin: 0 }
h2 { font-size: 1.1rem; margin: 2.75rem 0 .75rem }
h3 { font-size: 1rem; margin: 0 }
h1, h2, h3, strong, .sign { font-weight: 600 }
p { margin: .35rem 0 }
.lead { font-size: 1.1rem; margin: .6rem 0 0 }
.soft, .name { color: var(--soft) }
code, .name { font: .8125rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere }
.box, .facts, details, table { background: var(--card); border: 1px solid var(--line); border-radius: .6rem }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); margin: 1.5rem 0 0 }
.facts div { padding: .8rem 1.1rem }
dt { font-size: .8125rem; color: var(--soft) }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere }
.refused.box { background: var(--broken-paper); border-left: 4px solid var(--broken);
  padding: 1rem 1.15rem; margin: 0 0 .75rem }
ul { margin: .75rem 0 0; padding: 0; list-style: none }
li { padding: .6rem 0; border-top: 1px solid var(--line) }
li:last-child { padding-bottom: 0 }
table { width: 100%; border-spacing: 0; font-size: .9375rem; overflow: hidden }
th, td { padding: .5rem .9rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
th { font-size: .8125rem; font-weight: 500; color: var(--soft); white-space: nowrap }
tbody tr:last-child td { border-bottom: 0 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.sign { white-space: nowrap }
.held, .published { color: var(--held) }
.broken, .sign.refused, .sign.failed { color: var(--broken) }
.sign.warning { color: var(--warning) }
.noted, .passed, .abandoned { color: var(--soft) }
tr:has(.broken) { background: var(--broken-paper) }
tr:has(.warning) { background: var(--warning-paper) }
details { margin: 0 0 .6rem; overflow: hidden }
details table { border-width: 1px 0 0; border-radius: 0 }
summary { cursor: pointer; padding: .7rem 1.1rem; display: flex; flex-wrap: wrap; gap: .15rem .9rem }
summary::before { content: "\\25b8"; color: var(--soft) }
details[open] > summary::before { content: "\\25be" }
summary::-webkit-details-marker { display: none }
summary:focus-visible, input:focus-visible { outline: 2px solid var(--soft); outline-offset: -2px }
.filter { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; margin: 0 0 .75rem }
[hidden] { display: none !important }
input[type=search] { flex: 1 1 14rem; font: inherit; padding: .4rem .8rem; color: inherit;
  border: 1px solid var(--line); border-radius: .5rem; background: var(--card) }
@media (max-width: 44rem) {
  main { padding: 1.5rem .9rem 3rem }
  thead { position: absolute; clip-path: inset(50%) }
  table, tbody, td { display: block }
  tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .6rem .95rem;
    border-bottom: 1px solid var(--line) }
  tbody tr:last-child { border-bottom: 0 }
  td { padding: 0; border: 0 }
  td:first-child { flex-basis: 100%; font-weight: 600 }
  td + td::before { content: attr(data-label) " "; color: var(--soft); font-size: .8125rem }
  .number { text-align: left }
}
"""

# Without it the page shows the same; with it, rows can be searched.
SCRIPT = """
const box = document.querySelector(".filter");
const [words, failed] = box.querySelectorAll("input");
const batches = [...document.querySelectorAll("details")];
const show = () => {
  const wanted = words.value.trim().toLowerCase();
  for (const batch of batches) {
    const about = batch.querySelector("summary").textContent;
    const rows = [...batch.querySelectorAll("tbody tr")];
    for (const row of rows) {
      const found = (about + row.textContent).toLowerCase().includes(wanted);
      row.hidden = !found || (failed.checked && row.querySelector(".held"));
    }
    batch.hidden = rows.every((row) => row.hidden);
    batch.open = wanted !== "" || failed.checked;
  }
};
box.hidden = false;
box.addEventListener("input", show);
"""
