"""Two-dimensional densities with exact values, and distances of clouds of points."""
