"""Labels with what held at their instants (`point_in_time`), and the splits that keep them apart (`splits`)."""
