"""How one table becomes the next: pure functions, DataFrame (or arrays) in, the same out."""
