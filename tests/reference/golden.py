"""A released root and its landed files, committed once by `make golden` and read by every later version."""

from __future__ import annotations

import hashlib
import json
import tarfile
import time
from pathlib import Path

from deltalake import DeltaTable

from reference.delta_files import rows_of

GOLDEN = Path(__file__).parents[1] / "golden"
ARCHIVE, DIGESTS = GOLDEN / "root.tar.xz", GOLDEN / "digests.json"


def unpack(folder: Path) -> None:
    """`root/` and `landing/` into a folder, as if written this moment.

    Delta lets no reader travel to a version whose log entry is older than a month, and goes by the age of the file.
    """
    now = time.time()

    def date_today(member: tarfile.TarInfo, to: str) -> tarfile.TarInfo:
        return tarfile.data_filter(member, to).replace(mtime=now, deep=False)

    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter=date_today)


def digests_of(root: Path) -> dict[str, dict[str, object]]:
    """Rows and content of each table that the newest release names, by delta-rs and pyarrow alone."""
    release_rows = rows_of(DeltaTable(root / "releases"))
    newest = max(row["released_at"] for row in release_rows)
    return {
        row["table_name"]: digest(
            rows_of(DeltaTable(root / "tables" / row["table_name"], version=row["version"]))
        )
        for row in sorted(release_rows, key=lambda row: row["table_name"])
        if row["released_at"] == newest
    }


def digest(rows: list[dict]) -> dict[str, object]:
    """How many rows, and a hash of all their values, whatever the order of rows.

    Without `bucket`, which follows from the key: the client does not show it.
    """
    public_rows = [{name: value for name, value in row.items() if name != "bucket"} for row in rows]
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in public_rows)
    return {"rows": len(rows), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}
