"""Clusters of this machine: master and workers in the driver's JVM, executors in their own."""

from __future__ import annotations

from pathlib import Path


def spark_home(folder: Path) -> Path:
    """Spark as it is installed, in a folder where its workers may write: they do so beside it."""
    import pyspark

    home = folder / "spark"
    home.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (home / entry.name).symlink_to(entry)
    (home / "work").unlink(missing_ok=True)
    return home
