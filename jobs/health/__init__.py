"""What is wrong with a root from a reader's point of view, and who is alerted. Without Spark."""
