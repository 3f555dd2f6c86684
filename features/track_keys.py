"""One key for the names that sources write for one track: for joining those that have no id in common.

Two names have one key where they differ by case, accents, width, punctuation, guests, and marks of a release alone. A
live take, a remix, a cover, a demo, an instrumental or a part is another recording, and keeps its own.
"""

from __future__ import annotations

import re
import unicodedata

# Another release of the same recording; of what else stands in brackets nobody can say that.
_RELEASE = (
    r"(?:(?:19|20)\d\d\s+)?(?:digital(?:ly)?\s+)?re-?master(?:ed)?(?:\s+version)?(?:\s+(?:19|20)\d\d)?"
    r"|(?:album|single|lp|original|explicit|clean|mono|stereo|deluxe|uk|us)\s+(?:version|mix|edit|edition)"
    r"|radio\s+edit|explicit|clean|mono|stereo|bonus\s+track|deluxe|(?:19|20)\d\d\s+version"
)
_GUEST = r"(?:feat|ft|featuring)\b\.?\s+"
_IN_BRACKETS = re.compile(rf"\s*[(\[{{]\s*(?:(?:{_GUEST}|with\s)[^)\]}}]*|{_RELEASE})\s*[)\]}}]")
_AFTER_DASH = re.compile(rf"\s+[-\u2013\u2014/]\s+(?:{_RELEASE})\s*$")
# Up to what stands in brackets behind the guest: `Song feat. B (Live)` is a live take.
_GUEST_AT_END = re.compile(rf"\s+{_GUEST}[^(\[{{]*")
_ARTICLE = re.compile(r"^the\s+(?=\S)|,\s*the$")


def make_track_key(artist: str | None, title: str | None) -> str | None:
    """`artist / title`, each in its plainest form; null where one of them is missing or blank."""
    if artist is None or title is None:
        return None
    # folded first: a full-width bracket is one, and an article is one in capitals
    names = (_ARTICLE.sub("", _drop_guests(_fold(artist))), _drop_marks(_fold(title)))
    plain = [_drop_punctuation(name) for name in names]
    return " / ".join(plain) if all(plain) else None


def _fold(name: str) -> str:
    """Without case, width and accents."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).split())


def _drop_guests(name: str) -> str:
    # an artist can be called Featuring; one of whom nothing would be left is left as it is
    return _GUEST_AT_END.sub("", _IN_BRACKETS.sub("", name)).strip() or name


def _drop_marks(title: str) -> str:
    plain = _AFTER_DASH.sub("", _drop_guests(title)).strip()
    return plain or title


def _drop_punctuation(name: str) -> str:
    text = name.replace("&", " and ").replace("\u2019", "").replace("'", "")
    words = "".join(c if c.isalnum() else " " for c in text).split()
    # some names are nothing but punctuation
    return " ".join(words) or name.strip()
