"""How a space of embeddings is trained, held to its gates, and versioned."""
