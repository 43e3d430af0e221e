"""Workspace “Forecast”."""
