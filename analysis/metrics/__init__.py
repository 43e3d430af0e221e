"""Distances of images; those of sets of images, which trainings measure too, are in foundation."""
