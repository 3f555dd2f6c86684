"""Java's classes as Python sees them, each asked for once.

By itself py4j asks the JVM for a class, and then for its method, before each call; PySpark makes one for every column.
Of a name without its package, the JVM looks into each of three hundred jars for a class that is called so.
"""

from __future__ import annotations

from typing import Any

from py4j.java_gateway import JavaClass, JavaMember, JVMView

# What is kept is of the process, not of a thread: a call goes through the connection of the thread that makes it.


class _KeptClass(JavaClass):
    """A class whose methods are asked for once."""

    def __getattr__(self, name: str) -> Any:
        member = super().__getattr__(name)
        if isinstance(member, JavaMember):
            setattr(self, name, member)
        return member


class _KeptView(JVMView):
    """A JVM whose classes are asked for once, by whichever name."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        # a name that is a package so far may be that of a class once jars are added
        if isinstance(found, JavaClass):
            found = _KeptClass(found._fqn, found._gateway_client)
            setattr(self, name, found)
        return found


def keep_classes(jvm: JVMView) -> None:
    """From here on, for all who have this view; PySpark hands it to each session."""
    jvm.__class__ = _KeptView
