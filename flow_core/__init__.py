"""Flow matching and IDFF (arXiv 2409.14599): paths, fields, samplers, likelihood, training."""
