"""Training, gating and versioning of embedding spaces."""
