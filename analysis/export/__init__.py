"""Results as files: CSV, NPZ, GIF, one HTML report."""
