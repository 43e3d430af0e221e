"""Flow matching and IDFF (arXiv 2409.14599): paths, fields, samplers, likelihood, training."""

from flow_core.model import FlowModel, load, save

__all__ = ["FlowModel", "load", "save"]
