"""Hierarchical Koopman Diffusion (arXiv 2510.12220): teacher, trajectories, operator, model, training."""

from koopman_core.model import KoopmanDiffusion, load, load_teacher, save, save_pretrained

__all__ = ["KoopmanDiffusion", "load", "load_teacher", "save", "save_pretrained"]
