"""Workspace “Flows”."""
