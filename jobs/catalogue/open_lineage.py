"""Lineage as OpenLineage events, by its specification 2-0-2: https://openlineage.io/spec/2-0-2/OpenLineage.json.

Of a step whose tables are published, a RunEvent of the run that published them last; of one that has not run, a
JobEvent, which says what it would read and write. Both are plain JSON: `lineage_client` makes objects of OpenLineage's
client of them where they are sent by that.
Of a run the tables' logs know the end alone: there is a COMPLETE, and no START before it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import segue
from jobs import FLOW, Step
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.entries import ColumnEntry
from jobs.catalogue.lineage import FILTER, KEY, ORDER, VALUE, WINDOW, ColumnInput
from schemas.releases import RELEASES
from segue.publication_record import parse_instant

SPEC = "https://openlineage.io/spec"
EVENT_SCHEMA = f"{SPEC}/2-0-2/OpenLineage.json#/$defs"
# Name of a facet in a dataset -> version and name in the specification.
FACETS = {
    "schema": ("1-2-0", "SchemaDatasetFacet"),
    "columnLineage": ("1-2-0", "ColumnLineageDatasetFacet"),
    "documentation": ("1-1-0", "DocumentationDatasetFacet"),
    "ownership": ("1-0-1", "OwnershipDatasetFacet"),
    "version": ("1-0-1", "DatasetVersionDatasetFacet"),
}
# Jobs of all roots are in one namespace: their names are those of the command.
JOBS = "segue"
INDIRECT = {KEY: "GROUP_BY", FILTER: "FILTER", WINDOW: "WINDOW", ORDER: "SORT"}
PRODUCER = f"urn:segue-platform:{segue.__version__ or 'unreleased'}"


class Events:
    """Of every step that makes tables. The same root gives the same ids of runs."""

    def __init__(self, catalogue: Catalogue, now: datetime | None = None) -> None:
        self._catalogue = catalogue
        self._now = now or datetime.now(UTC)

    def list_events(self) -> Iterator[dict[str, Any]]:
        for step in FLOW:
            if RELEASES.name not in step.makes:
                yield self._make_event(step)

    def _make_event(self, step: Step) -> dict[str, Any]:
        event: dict[str, Any] = {
            "producer": PRODUCER,
            "job": {"namespace": JOBS, "name": step.name},
            # without versions: those that are there now may be newer than those that were read
            "inputs": [self._name(table) for table in self._list_inputs(step)],
            "outputs": [self._describe_output(table) for table in step.makes],
        }
        times = {t: at for t in step.makes if (at := self._find_time(t))}
        if not times:
            return event | {"eventTime": _format(self._now), "schemaURL": f"{EVENT_SCHEMA}/JobEvent"}
        # by what the run published, and not by versions: maintenance and erasures make some, and are no runs of it
        names = [(*self._name(table).values(), _format(at)) for table, at in times.items()]
        run = uuid.uuid5(uuid.NAMESPACE_URL, repr(sorted(names)))
        about = {"eventTime": _format(max(times.values())), "schemaURL": f"{EVENT_SCHEMA}/RunEvent"}
        return event | about | {"eventType": "COMPLETE", "run": {"runId": str(run)}}

    def _find_time(self, table: str) -> datetime | None:
        """When a run published the table last; of logs of before that was written down, since when readers know its
        newest day."""
        inventory = self._catalogue.inventory
        if (published := inventory.published(table)) is None:
            return None
        at = inventory.published_at(table)
        return parse_instant(at) if at else published.available_at

    def _list_inputs(self, step: Step) -> list[str]:
        # the files of a source are an input of the steps that read them
        tables = (each.table for t in step.makes for c in self._entries(t) for each in c.inputs)
        sources = (table for table in tables if table not in step.makes)
        return list(dict.fromkeys([*step.needs, *step.uses, *sources]))

    def _entries(self, table: str) -> list[ColumnEntry]:
        return list(self._catalogue.describe_columns(table, with_expectations=False))

    def _describe_output(self, table: str) -> dict[str, Any]:
        entry, columns = self._catalogue.describe_table(table), self._entries(table)
        fields = [{"name": c.column, "type": c.type, "description": c.meaning} for c in columns]
        lineage = {c.column: {"inputFields": list(self._list_fields(c))} for c in columns if c.inputs}
        facets = _make_facets(
            schema={"fields": fields},
            columnLineage={"fields": lineage} if lineage else None,
            documentation={"description": entry.meaning},
            ownership={"owners": [{"name": entry.owner, "type": "OWNER"}]},
            version={"datasetVersion": str(entry.published.version)} if entry.published else None,
        )
        return {**self._name(table), "facets": facets}

    def _list_fields(self, column: ColumnEntry) -> Iterator[dict[str, Any]]:
        """The input columns, each once with every way in which it is used."""
        uses: dict[tuple[str, str], list[str]] = {}
        for each in column.inputs:
            uses.setdefault((each.table, each.column), []).append(each.use)
        for (table, name), found in uses.items():
            steps = [_describe_use(column, ColumnInput(table, name, use)) for use in found]
            yield {**self._name(table), "field": name, "transformations": steps}

    def _name(self, table: str) -> dict[str, str]:
        kind, colon, source = table.partition(":")
        if colon and kind == "source":
            return {"namespace": f"{JOBS}.source", "name": source}
        return name_dataset(self._catalogue.inventory.path(table))


def name_dataset(path: str) -> dict[str, str]:
    """As the specification names what lies on a disk or in an object store."""
    if "://" not in path:
        return {"namespace": "file", "name": os.path.abspath(path)}
    place = urlsplit(path.replace("s3a://", "s3://", 1))
    return {"namespace": f"{place.scheme}://{place.netloc}", "name": place.path.lstrip("/")}


def _describe_use(column: ColumnEntry, each: ColumnInput) -> dict[str, Any]:
    if each.use != VALUE:
        return {"type": "INDIRECT", "subtype": INDIRECT[each.use]}
    if column.computation:
        return {"type": "DIRECT", "subtype": "AGGREGATION", "description": column.computation.operation}
    copied = each.column == column.column and [i.use for i in column.inputs].count(VALUE) == 1
    copied = copied and column.source_sql in ("", each.column)
    return {"type": "DIRECT", "subtype": "IDENTITY" if copied else "TRANSFORMATION"}


def _make_facets(**contents: dict[str, Any] | None) -> dict[str, Any]:
    facets = {}
    for name, content in contents.items():
        if content is not None:
            version, schema = FACETS[name]
            url = f"{SPEC}/facets/{version}/{schema}.json#/$defs/{schema}"
            facets[name] = {"_producer": PRODUCER, "_schemaURL": url, **content}
    return facets


def _format(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def list_event_kinds(events: Iterable[dict[str, Any]]) -> str:
    """How many there are of each kind, in words."""
    kinds = [event["schemaURL"].rpartition("/")[2] for event in events]
    return ", ".join(f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds))
