"""Which file a row is from: by its day and name. A task that writes several days gives their files one name, and
Spark's paths are absolute, where those of the log are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

# Among the partitions alone: folders above a table may look like a day too.
_DAY = r"(?:^|/)ds=([^/]*)/(?:\w+=[^/]*/)*[^/]*$"


def name_part_file(path: str) -> str:
    """`2026-10-01/part-…`, without the day in a table that has none."""
    day = re.search(_DAY, path)
    return f"{day[1] if day else ''}/{path.rpartition('/')[2]}"


def find_part_file() -> Column:
    """The same of each row of a scan."""
    from pyspark.sql import functions as F

    day = F.regexp_extract("_metadata.file_path", _DAY, 1)
    return F.concat(day, F.lit("/"), F.col("_metadata.file_name"))
