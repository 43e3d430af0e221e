"""Pictures drawn by code from known factors: shapes and portraits."""
