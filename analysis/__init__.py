"""Spectral analysis of HKD models: spectra, bands, trajectories, metrics, figures; no user interface."""

from analysis.core.errors import UserError
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench

__all__ = ["ModelLibrary", "UserError", "Workbench"]
