"""The seam to flows of points and of images."""
