"""Plays of made-up listeners, whose tastes are known, and what happens to them on their way."""
