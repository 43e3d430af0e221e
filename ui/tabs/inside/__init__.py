"""Workspace “Look inside”."""
