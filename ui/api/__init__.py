"""The HTTP endpoints, and one way to put results into JSON."""
