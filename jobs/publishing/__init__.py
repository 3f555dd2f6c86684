"""How tables change: what a batch is, how it is staged, audited and committed, and what becomes of old files.

`Job.publish` goes through it in order; `commits.swap` is the one way to change a table.
"""
