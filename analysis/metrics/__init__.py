"""Distances of images and of sets of images."""
