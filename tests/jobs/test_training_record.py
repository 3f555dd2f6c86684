"""Which training sets use a column: by the copies of their manifests under the root, and by those in other folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.catalogue.inventory import Inventory
from jobs.errors import WrongUsage
from jobs.publishing.warehouse import Warehouse
from jobs.training.manifest import Manifest, save
from jobs.training.record import list_training_sets, record_training_set
from jobs.training.request import Request


def test_training_sets_use_the_columns_that_their_manifests_name(tmp_path):
    def save_set(name, request, columns):
        (tmp_path / name).mkdir(parents=True)
        tables = {"user_features": {"version": 2}}
        save(Manifest(request, "r", tables, "c", 1, "h", rows=1, columns=columns), str(tmp_path / name))

    save_set(
        "a/one", Request("l", features=("user_features:plays_count_7d",)), ("user_features__plays_count_7d",)
    )
    whole = (
        "label",
        "user_features__plays_count_7d",
        "user_features__skips_rate_7d",
        "track_features__plays",
    )
    save_set("b", Request("l", at_label_time=("user_features",)), whole)
    save_set("d", Request("l", outcomes=("artist_features:skips_rate_7d",)), ())
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "_manifest.json").write_text('{"of": "another program"}')
    inventory = Inventory(str(tmp_path), [f"{tmp_path}/a/../"])
    both = [f"{tmp_path}/a/one", f"{tmp_path}/b"]
    assert inventory.training_sets_of("user_features", "plays_count_7d") == both
    assert inventory.training_sets_of("user_features", "skips_rate_7d") == both[1:]
    assert inventory.training_sets_of("user_features") == both
    assert inventory.training_sets_of("artist_features", "skips_rate_7d") == [f"{tmp_path}/d"]
    assert inventory.training_sets_of("track_features") == inventory.training_sets_of("user") == []
    with pytest.raises(WrongUsage, match="not there; give a folder with training sets"):
        _ = Inventory(str(tmp_path), [f"{tmp_path}/nowhere"]).training_sets


def test_training_sets_on_record_are_known_without_their_folder(tmp_path, caplog):
    warehouse = Warehouse(str(tmp_path))
    manifest = Manifest(
        Request("l", ("plays:ms_played",)), "r", {}, "c", 1, "h", columns=("plays__ms_played",)
    )
    for rows in (1, 2):  # the second takes the place of the first
        record_training_set(warehouse, "s3://sets/one/", replace(manifest, rows=rows))
    record_training_set(warehouse, "here", manifest)
    warehouse.write(warehouse.path("quality", "training_sets", "x.json"), '{"path": "of a later version"}')
    (here, _), (there, recorded) = sorted(list_training_sets(warehouse))
    assert (here, there, recorded) == (
        str(Path("here").resolve()),
        "s3://sets/one",
        replace(manifest, rows=2),
    )
    assert Inventory(str(tmp_path)).training_sets_of("plays", "ms_played") == [here, there]
    (tmp_path / "read_only").mkdir()
    (tmp_path / "read_only" / "quality").write_text("a file where a folder should be")
    record_training_set(Warehouse(str(tmp_path / "read_only")), "here", manifest)
    assert "will not know of this training set" in caplog.text
