"""Workspace “Watch”."""
