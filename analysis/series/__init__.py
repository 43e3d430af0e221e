"""The seam to forecasts of time series."""
