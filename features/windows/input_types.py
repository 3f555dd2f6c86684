"""Whether SQL of declarations gives what it is declared to give: of an expression, only Spark knows the type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DecimalType, FractionalType

from schemas.declarations import FeatureGroup
from schemas.operations import DeclarationError
from schemas.parts import Part

# Parts whose values are cast to the type that is declared; all others take any number.
_OF_DECLARED_TYPE = ("sum", "squares", "min", "max", "earliest", "latest")


def check_input_types(plays: DataFrame, group: FeatureGroup, parts: Sequence[Part]) -> None:
    """From the schema alone: no row is read.

    Args:
        plays: as operations see them, see `plays_of_group`.

    Raises:
        DeclarationError: fractions are declared as whole numbers, so that their sums would silently be of less.
    """
    whole = [part for part in parts if _is_cast_to_whole(part) and part.of not in plays.columns]
    if not whole:
        return
    fields = plays.select(*[F.expr(part.of).alias(str(n)) for n, part in enumerate(whole)]).schema.fields
    types = {part: field.dataType for part, field in zip(whole, fields, strict=True)}
    problems = list(
        _find_problems(group, {part: each for part, each in types.items() if _has_fractions(each)})
    )
    if problems:
        raise DeclarationError(f"table {group.table}: {'; '.join(problems)}")


def _is_cast_to_whole(part: Part) -> bool:
    return part.kind in _OF_DECLARED_TYPE and part.input_type in ("int", "bigint")


def _has_fractions(type_: DataType) -> bool:
    return isinstance(type_, FractionalType) and not (isinstance(type_, DecimalType) and type_.scale == 0)


def _find_problems(group: FeatureGroup, types: dict[Part, DataType]) -> Iterator[str]:
    for feature in group.features:
        of_feature = {part for window in feature.windows for part in feature.parts(window)} & types.keys()
        for sql, type_ in sorted({(part.of, types[part].simpleString()) for part in of_feature}):
            yield (
                f"feature {feature.what}_{feature.op}: {sql!r} is {type_}, declared as {feature.input_type}, "
                "which would cut its fractions; make the input an expression of type='double', or round in the SQL"
            )
