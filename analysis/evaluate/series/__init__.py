"""Measurements of next-step models of time series."""
