"""A studio of flows on tiny random models: images and series; flows in the plane have the nets that ship."""

from analysis.flow.images import ImageFlows
from analysis.flow.points import PointFlows
from analysis.studio import Studio
from tests.analysis.series.forecasts import bench_on


def tiny_benches(flows_folder, series_folder, monkeypatch) -> Studio:
    """A new one.

    Args:
        flows_folder: of `image_flows.write_flows`.
        series_folder: an empty one.
        monkeypatch: for `forecasts.bench_on`.
    """
    return Studio(points=PointFlows(), images=ImageFlows(flows_folder), series=bench_on(series_folder, monkeypatch))
