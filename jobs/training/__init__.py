"""Training sets: what was asked for, how it is put together, and the manifest that makes it again."""
