"""What a training set was made of, and what it holds: enough to make it again, and to know that it is the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pyarrow.fs import FileSelector

from expectations.profile import content
from jobs.errors import JobError, WrongUsage
from jobs.publishing.state import digest
from jobs.training.request import Request, outcome_groups_of
from schemas import FEATURE_GROUPS, FeatureGroup
from schemas.common import quote_name
from segue.storage import filesystem

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NAME = "_manifest.json"


@dataclass(frozen=True)
class Manifest:
    """`tables` has version, rows and content hash of each; `nulls` and `lost_to_max_age` are shares of the rows.

    `identities` has a fingerprint of what computes each declared feature, by `table:column`; manifests written before
    there were such have none. `space` is the one of its vectors, None where it has none. `ripeness` has, by column of a
    status, how many labels were ripe, unripe and censored; they add up to `label_rows`. `requests` are how many there
    are of, and how many were left out with labels that were not ripe; of sets without requests there are none.
    """

    request: Request
    release: str
    tables: Mapping[str, Mapping[str, Any]]
    # not compared: a replay by other code is held to the content hash alone
    code: str
    label_rows: int
    label_hash: str
    rows: int = 0
    content_hash: str = ""
    columns: tuple[str, ...] = ()
    nulls: Mapping[str, float] = field(default_factory=dict)
    lost_to_max_age: Mapping[str, float] = field(default_factory=dict)
    space: str | None = None
    identities: Mapping[str, str] = field(default_factory=dict)
    ripeness: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)

    def changed_features(self, refs: Iterable[str]) -> list[str]:
        """Those of the features that are declared no more, or as something else than when the set was made."""
        now = declared_identities(self.request.outcomes)
        return sorted(ref for ref in refs if ref not in now or self.identities.get(ref, now[ref]) != now[ref])

    @property
    def versions(self) -> dict[str, int]:
        return {name: int(table["version"]) for name, table in self.tables.items()}


def declared_identities(outcomes: Iterable[str] = ()) -> dict[str, str]:
    """A fingerprint of what computes each declared feature, and each of these outcomes, by `table:column`."""
    # manifests hold it: another way to write one would refuse their replays
    return {
        f"{group.table}:{name}": digest(
            group.keys, group.where, identity, *filter(None, [group.rows_identity])
        )
        for group in (*FEATURE_GROUPS, *_list_declared(outcomes))
        for name, identity in group.identities.items()
    }


def _list_declared(outcomes: Iterable[str]) -> Iterator[FeatureGroup]:
    for ref in outcomes:
        with suppress(WrongUsage):  # declared no more
            yield from outcome_groups_of([ref])


def manifest_path(path: str) -> str:
    """Of the manifest of a training set, or the manifest itself."""
    return path if path.endswith(".json") else f"{path.rstrip('/')}/{NAME}"


def find_manifests(folder: str) -> Iterator[tuple[str, Manifest]]:
    """Every training set below a folder, by its path."""
    files, inner = filesystem(folder)
    for entry in files.get_file_info(FileSelector(inner, allow_not_found=True, recursive=True)):
        if entry.base_name == NAME:
            path = f"{folder.rstrip('/')}/{entry.path[len(inner.rstrip('/')) + 1 :]}"
            yield path.removesuffix(f"/{NAME}"), load(path)


def save(manifest: Manifest, out: str) -> str:
    path = manifest_path(out)
    # beside the data: its name begins with _, so Spark and pyarrow take it for none of the set's files
    files, inner = filesystem(path)
    with files.open_output_stream(inner) as file:
        file.write(dumps(manifest).encode())
    return path


def dumps(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest), indent=2, default=str)


def loads(saved: dict[str, Any]) -> Manifest:
    """Raises ValueError, KeyError or TypeError where it is none of ours."""
    # unknown fields are a TypeError: a manifest of a newer version is refused, not half read
    request = Request.loads(saved.pop("request"))
    saved.pop("declarations", None)  # a hash of all features of then, which any new feature made another
    return Manifest(request=request, **{**saved, "columns": tuple(saved["columns"])})


def load(path: str) -> Manifest:
    """Raises WrongUsage where there is no manifest, or none of ours."""
    files, inner = filesystem(manifest_path(path))
    try:
        with files.open_input_stream(inner) as file:
            return loads(json.loads(file.read()))
    except OSError:  # also where its folder is a file
        raise WrongUsage(f"{manifest_path(path)} is not there; give a training set, or its {NAME}") from None
    except (ValueError, KeyError, TypeError) as problem:
        raise WrongUsage(f"{manifest_path(path)} is no manifest of a training set: {problem}") from None


def summarise(rows: DataFrame, features: Sequence[str], lost: Mapping[str, str]) -> dict[str, Any]:
    """Row count, content hash and shares of a written training set, in one scan."""
    from pyspark.sql import functions as F

    # names with a space, since `content` has sums of its own in the same row
    measures = {f"null {name}": F.count_if(F.col(quote_name(name)).isNull()) for name in features}
    measures |= {f"lost {table}": F.count_if(F.expr(condition)) for table, condition in lost.items()}
    counted, counts = content(rows, measures)
    shares = {name: counts[name] / max(counted.rows, 1) for name in measures}
    return {
        "rows": counted.rows,
        "content_hash": f"{counted.content_hash:016x}",
        "columns": tuple(rows.columns),
        "nulls": {name: shares[f"null {name}"] for name in features},
        "lost_to_max_age": {table: shares[f"lost {table}"] for table in lost},
    }


def check_replay(old: Manifest, new: Manifest) -> None:
    """Raises JobError where a replay gave other rows."""
    if (old.rows, old.content_hash) != (new.rows, new.content_hash):
        code = "" if old.code == new.code else f" The code is another ({old.code}, now {new.code})."
        raise JobError(
            f"the replay holds {new.rows:,} rows of content hash {new.content_hash}, the manifest says {old.rows:,} of "
            f"{old.content_hash}.{code} Run it with the code of then, or report this"
        )
