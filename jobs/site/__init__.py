"""The quality report as a site: what its pages are made of, read from a root. Without Spark."""
