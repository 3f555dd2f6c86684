"""Clusters of this machine: master and workers in the driver's JVM, executors in their own."""

from __future__ import annotations

import shlex
from pathlib import Path

from jobs.session import archive_options


def cluster_settings() -> dict[str, str]:
    """Of a short run: over before the second compiler has paid for itself, with classes mapped from their archive."""
    java = shlex.join(("-XX:TieredStopAtLevel=1", *archive_options()))
    return {
        "spark.driver.defaultJavaOptions": java,
        "spark.executor.defaultJavaOptions": java,
        "spark.executor.memory": "512m",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
    }


def spark_home(folder: Path) -> Path:
    """Spark as it is installed, in a folder where its workers may write: they do so beside it."""
    import pyspark

    home = folder / "spark"
    home.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (home / entry.name).symlink_to(entry)
    (home / "work").unlink(missing_ok=True)
    return home
