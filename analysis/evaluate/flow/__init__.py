"""Measurements of flows of points and of pictures."""
