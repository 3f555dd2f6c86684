"""How tables change: what a batch is, how it is staged, audited and committed, and what becomes of old files.

`protocol` is the heart; `commits.swap` is the one way to change a table.
"""
