"""Batches that were staged once, published again and again without Spark.

Only the writing of the files and their audit are not real: reserving, recording, committing and the
lease are those of `jobs`, so that hundreds of faults can hit them at the price of a small process each.
"""

from __future__ import annotations

import pickle
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faults.offers import Offer
from jobs.job import Outcome
from jobs.publishing.batches import Batch, folder
from jobs.publishing.protocol import StagedBatch
from jobs.publishing.warehouse import Warehouse
from reference.staged import LaidJob


def save_templates(to: Path, offers: Iterable[Offer]) -> Path:
    """One staged batch for every offer, with what its audit came to."""
    job = LaidJob("template", str(to / "staging"), say=lambda text: None)
    for offer in offers:
        staged = job.stage(offer.batch(job), offer.rows())
        shutil.move(staged.path, to / offer.label)
        content = pickle.dumps((staged.profile, staged.verdict))
        (to / f"{offer.label}.pickle").write_bytes(content)
    return to


class ReplayJob(LaidJob):
    """A job that copies staged files where Spark would write them, and takes their audit as it was."""

    def __init__(self, root: str, templates: Path, stage_s: float = 0, say: Any = lambda text: None) -> None:
        super().__init__("fault", root, say=say)
        self._templates, self._stage_s = templates, stage_s

    def offer(self, offer: Offer) -> Outcome:
        return self.publish(offer.batch(self), offer.label)  # type: ignore[arg-type]

    def _stage(self, warehouse: Warehouse, batch: Batch, label: Any) -> None:
        self._label = label
        time.sleep(self._stage_s)
        shutil.copytree(self._templates / label, folder(warehouse, batch), dirs_exist_ok=True)

    def _audit(self, _: Any, warehouse: Warehouse, batch: Batch, *__: Any) -> StagedBatch:
        profile, verdict = pickle.loads((self._templates / f"{self._label}.pickle").read_bytes())
        return StagedBatch(batch, folder(warehouse, batch), profile, verdict)
