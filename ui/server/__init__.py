"""Errors as sentences, bounds, the queue, long runs, the start."""
