"""Measurements of one HKD model."""
