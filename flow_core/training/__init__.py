"""Objectives, and what `python -m flow_core.train` does for points, images and series."""
