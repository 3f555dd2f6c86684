"""Features over windows: plays folded by day (`partials`), windows merged from those (`daily`, `label_time`).

`definitions` says every value again, in plain loops; tests and `segue verify` hold the rest to it.
"""
