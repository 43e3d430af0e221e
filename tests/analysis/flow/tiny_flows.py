"""Benches of flows on tiny random models: pictures and series; flows in the plane have the nets that ship."""

from analysis.flow.images import ImageFlows
from analysis.flow.points import PointFlows
from analysis.recipes.replay import FlowBenches
from tests.analysis.series.forecasts import bench_on


def tiny_benches(flows_folder, series_folder, monkeypatch) -> FlowBenches:
    """New ones.

    Args:
        flows_folder: of `picture_flows.write_flows`.
        series_folder: an empty one.
        monkeypatch: for `forecasts.bench_on`.
    """
    return FlowBenches(PointFlows(), ImageFlows(flows_folder), bench_on(series_folder, monkeypatch))
