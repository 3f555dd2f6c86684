"""Training sets: the request, how it is put together, and the manifest that makes it again."""
