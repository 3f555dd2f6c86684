"""Charts as plain SVG with their values in words: they need no library, no script and no network."""
