"""Spectral analysis of HKD models: spectra, bands, trajectories, metrics, figures; no user interface."""

from analysis.errors import UserError
from analysis.library import ModelLibrary
from analysis.workbench import Workbench

__all__ = ["ModelLibrary", "UserError", "Workbench"]
