"""Which training sets were made of a root: a copy of each manifest lies there, so that uses of a feature are known."""

from __future__ import annotations

import json
from collections.abc import Iterator

from jobs.errors import first_line
from jobs.messages import LOG
from jobs.publishing.state import digest
from jobs.publishing.warehouse import Warehouse
from jobs.training.manifest import Manifest, dumps, loads
from segue.paths import make_absolute

FOLDER = ("quality", "training_sets")


def record_training_set(warehouse: Warehouse, out: str, manifest: Manifest) -> None:
    """One file for each place; a set that is made again there takes its place here."""
    place = make_absolute(out)
    text = json.dumps({"path": place, "manifest": json.loads(dumps(manifest))}, indent=2)
    try:
        warehouse.write(warehouse.path(*FOLDER, f"{digest(place)}.json"), text)
    except OSError as problem:
        # whoever trains may have no right to write under the root, and has the set all the same
        LOG.warning("  (the catalogue will not know of this training set: %s)", first_line(problem))


def list_training_sets(warehouse: Warehouse) -> Iterator[tuple[str, Manifest]]:
    """Path and manifest of each; those that another version wrote, and this one cannot read, are left out."""
    folder = warehouse.path(*FOLDER)
    for name in sorted(warehouse.list_files(folder)):
        with warehouse.files.open_input_stream(warehouse.inner(f"{folder}/{name}")) as file:
            text = file.read()
        try:
            saved = json.loads(text)
            yield saved["path"], loads(saved["manifest"])
        except (ValueError, KeyError, TypeError) as problem:
            LOG.warning("%s/%s is no record of a training set: %s", folder, name, first_line(problem))
