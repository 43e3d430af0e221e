"""Distances of pictures (LPIPS) and of sets of them (FID, KID), and means with their intervals."""
