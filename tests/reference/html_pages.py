"""What a page of HTML holds, for tests of what is shown."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "input", "br", "link", "img"}


class Page(HTMLParser):
    """Holds a page to balanced tags, and collects its text, tags, ids, rows of tables and addresses."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.rows, self.addresses = [], [], [], []
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids |= {value for key, value in attrs if key == "id"}
        self.addresses += [value for key, value in attrs if key in ("src", "href", "action")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] in (["style"], ["script"]):
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join("".join(self.texts).split())
