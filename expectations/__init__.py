"""What must be true before anyone sees a batch: suites, custom metrics, the gate, the report.

Importing this package, its gate or its report is cheap; Great Expectations itself takes seconds,
and is imported only when a batch is audited.
"""
