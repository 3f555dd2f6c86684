"""OpenLineage events by its own client: through whichever transport that is configured to have (HTTP, Kafka, a file).

openlineage-python is an optional extra, imported where events are sent and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jobs.errors import JobError, WrongUsage, first_line

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import Dataset, JobEvent, RunEvent

CONFIGURE = (
    "set OPENLINEAGE_URL, or OPENLINEAGE_CONFIG to an openlineage.yml with a transport; --out FILE writes the events "
    "to a file"
)


def emit_events(events: Iterable[Mapping[str, Any]]) -> str:
    """Sends all of them, in order, and says by which transport.

    Raises:
        WrongUsage: the client is not installed, or no transport is configured.
        JobError: an event could not be sent; those before it were.
    """
    client = _open_client()
    kind = str(client.transport.kind)
    for event in events:
        try:
            client.emit(build_event(event))
        except Exception as error:  # each transport raises what its own library does
            raise JobError(
                f"the lineage of {event['job']['name']} was not taken by {kind}: {first_line(error)}; mend the "
                "transport and run the command again: an event that comes twice is one to a server"
            ) from error
    # transports of other kinds than HTTP send later, by a thread
    if not client.close(timeout=60):
        raise JobError(f"{kind} did not take all events within 60 s; run the command again")
    return kind


def _open_client() -> OpenLineageClient:
    try:
        from openlineage.client import OpenLineageClient
    except ImportError:
        raise WrongUsage(
            "openlineage-python is not installed; pip install 'segue-platform[lineage]', or --out FILE"
        ) from None
    try:
        client = OpenLineageClient()
    except Exception as error:  # of a transport that is half configured
        raise WrongUsage(
            f"the transport of OpenLineage cannot be used: {first_line(error)}; {CONFIGURE}"
        ) from error
    # without configuration the client prints to the console, and "sent" would be untrue
    if client.transport.kind == "console" and not (client.config.transport or {}).get("type"):
        raise WrongUsage(f"no transport of OpenLineage is configured; {CONFIGURE}")
    if client.transport.kind == "noop":
        raise WrongUsage("OPENLINEAGE_DISABLED is set, so no event would be sent; unset it")
    return client


def build_event(event: Mapping[str, Any]) -> RunEvent | JobEvent:
    """One of ours by the client's classes, which know what each must have; TypeError for what they do not know."""
    from openlineage.client import event_v2 as v2

    about: dict[str, Any] = {
        "eventTime": event["eventTime"],
        "producer": event["producer"],
        "job": v2.Job(**event["job"]),
        "inputs": [v2.InputDataset(**each) for each in event["inputs"]],
        "outputs": [_build_output(each) for each in event["outputs"]],
    }
    if "run" not in event:
        return v2.JobEvent(**about)
    return v2.RunEvent(**about, eventType=v2.RunState(event["eventType"]), run=v2.Run(**event["run"]))


def _build_output(output: Mapping[str, Any]) -> Dataset:
    from openlineage.client import event_v2 as v2

    facets = {name: _build_facet(name, facet) for name, facet in output["facets"].items()}
    return v2.OutputDataset(namespace=output["namespace"], name=output["name"], facets=facets)


def _build_facet(name: str, facet: Mapping[str, Any]) -> Any:
    """Of one of the kinds that `open_lineage.FACETS` names."""
    from openlineage.client import facet_v2 as of

    producer = facet["_producer"]
    values = {key: value for key, value in facet.items() if not key.startswith("_")}
    if name == "schema":
        fields = [of.schema_dataset.SchemaDatasetFacetFields(**each) for each in values["fields"]]
        return of.schema_dataset.SchemaDatasetFacet(fields=fields, producer=producer)
    if name == "columnLineage":
        columns = {column: _build_inputs(each["inputFields"]) for column, each in values["fields"].items()}
        return of.column_lineage_dataset.ColumnLineageDatasetFacet(fields=columns, producer=producer)
    if name == "ownership":
        owners = [of.ownership_dataset.Owner(**each) for each in values["owners"]]
        return of.ownership_dataset.OwnershipDatasetFacet(owners=owners, producer=producer)
    others = {
        "documentation": of.documentation_dataset.DocumentationDatasetFacet,
        "version": of.dataset_version_dataset.DatasetVersionDatasetFacet,
    }
    return others[name](**values, producer=producer)


def _build_inputs(inputs: Iterable[Mapping[str, Any]]) -> Any:
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    def build(each: Mapping[str, Any]) -> Any:
        steps = [lineage.Transformation(**step) for step in each["transformations"]]
        return lineage.InputField(**{**each, "transformations": steps})

    return lineage.Fields(inputFields=[build(each) for each in inputs])
