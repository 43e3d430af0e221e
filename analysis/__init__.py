"""Spectral analysis of HKD models, flows and forecasts; no user interface."""

from analysis.core.errors import UserError
from analysis.studio import Studio
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench

__all__ = ["ModelLibrary", "Studio", "UserError", "Workbench"]
