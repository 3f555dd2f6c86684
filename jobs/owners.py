"""Who answers for a table: shown with features, and where a batch of it is refused."""

from __future__ import annotations

from jobs.errors import WrongUsage
from schemas import CONTRACTS, FEATURE_GROUPS
from schemas.declarations import FeatureGroup
from segue.errors import UsageError
from segue.project import find_project
from segue.project_file import FILE_SIZES, OWNERS


def find_owner(table: str) -> str:
    """The owner in [owners], else of the declared group, else of the project; "" where nobody says."""
    project = find_project()
    group = next((group for group in FEATURE_GROUPS if table in group.tables), None)
    # those that come with Segue have us for owners, whom nobody can page
    default = FeatureGroup.owner if group else ""
    declared = group.owner if group and group.owner != default else ""
    # partials are nobody's by themselves
    named = project.owners.get(table) or project.owners.get(group.table if group else "")
    return named or declared or project.resolve("owner").value or default


def find_contact(table: str) -> str:
    """The owner whom somebody can ask; "" where it is nobody, or us, of groups that come with Segue."""
    owner = find_owner(table)
    return "" if owner == FeatureGroup.owner else owner


def find_answerable(table: str, declared: str = "") -> str:
    """Who answers for what is expected of a table: who declared it, else the owner of the table, else us."""
    return declared or find_owner(table) or FeatureGroup.owner


def check_table_names() -> None:
    """That [owners] and [file_sizes] name tables that there are.

    Raises:
        WrongUsage: a line for each that is none.
    """
    project = find_project()
    unknown = [
        str(UsageError.unknown(f"{project.path}: [{section}]: table", name, CONTRACTS))
        for section in (OWNERS, FILE_SIZES)
        for name in project.tables.get(section, ())
        if name not in CONTRACTS
    ]
    if unknown:
        raise WrongUsage("\n".join(unknown))
