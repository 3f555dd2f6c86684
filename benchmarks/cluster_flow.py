"""The nightly flow in one process, for `cluster.py`: by spark-submit on its cluster, or here."""

from __future__ import annotations

import sys
from dataclasses import replace

from jobs import flow

# With several threads the same sequences give other vectors each time.
EXACT = {"train-track-embeddings": ("--threads", "1")}


def main() -> int:
    flow.FLOW = tuple(
        replace(step, arguments=(*step.arguments, *EXACT.get(step.name, ()))) for step in flow.FLOW
    )
    return flow.run_flow(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
