"""Workspace “Change”."""
