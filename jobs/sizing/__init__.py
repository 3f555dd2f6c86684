"""What steps cost: metered as they run, recorded, and fitted to say what a larger world will cost."""
