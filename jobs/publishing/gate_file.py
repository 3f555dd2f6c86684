"""The gate of one root: our bounds, and what `gate.toml` there changes of them."""

from __future__ import annotations

from expectations.gate_settings import GateError, GateSettings, parse_gate
from jobs.errors import WrongUsage
from jobs.publishing.warehouse import Warehouse

NAME = "gate.toml"


def load_gate(warehouse: Warehouse) -> GateSettings:
    """The bounds under this root, ours without a file; WrongUsage where the file says what cannot be."""
    # under the root and not beside the code: every machine that publishes there must refuse the same batches
    path = warehouse.path(NAME)
    try:
        with warehouse.files.open_input_stream(warehouse.inner(path)) as file:
            text = file.read().decode()
    # no look beforehand whether it is there: on an object store that is a request of its own
    except FileNotFoundError:
        return GateSettings()
    except UnicodeDecodeError as problem:
        raise WrongUsage(f"{path} is no UTF-8: {problem}; save it as UTF-8") from None
    try:
        return parse_gate(text, path)
    except GateError as problem:
        raise WrongUsage(f"{problem}\n`segue gate --root {warehouse.root}` lists what can be set") from None
