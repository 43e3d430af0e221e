"""Worlds of time series, their scores and baselines, the next-step model."""
