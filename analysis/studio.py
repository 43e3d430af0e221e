"""Everything that can be asked of one folder of models."""

from __future__ import annotations

from pathlib import Path

from analysis.flow.images import ImageFlows
from analysis.flow.points import PointFlows
from analysis.flow.torus import TorusFlows
from analysis.series.forecast import SeriesForecasts
from analysis.workbench.library import DEFAULT_MODEL, ModelLibrary
from foundation.files.models import MODELS_DIR


class Studio:
    """Who answers questions about the models of one folder; page, endpoints and recipes share one.

    Args:
        folder: where *.hkd, *.teacher, *.flow and *.series.safetensors are.
        default: the HKD model to open on.
        library, points, images, series, torus: in place of those of the folder.

    Attributes:
        library: HKD models, each with its `Workbench`.
        points: flows in two dimensions, with the nets that were trained here.
        images: flows of images.
        series: forecasts of time series.
        torus: the flow of dihedral angles.

    Raises:
        UserError: no HKD model in the folder.
    """

    def __init__(
        self,
        folder: str | Path = MODELS_DIR,
        default: str = DEFAULT_MODEL,
        *,
        library: ModelLibrary | None = None,
        points: PointFlows | None = None,
        images: ImageFlows | None = None,
        series: SeriesForecasts | None = None,
        torus: TorusFlows | None = None,
    ):
        self.folder = Path(folder)
        self.library = library or ModelLibrary(folder, default)
        self.points = points or PointFlows(folder)
        self.images = images or ImageFlows(folder)
        self.series = series or SeriesForecasts(folder)
        self.torus = torus or TorusFlows(folder)
