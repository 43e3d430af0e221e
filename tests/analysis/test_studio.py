"""One folder of models: every part of a studio answers from it."""

import shutil

import pytest

import analysis
from analysis.core.errors import UserError
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.points import Flow2DRequest


def test_all_parts_look_into_the_one_folder(models, flows_folder, tmp_path):
    for folder in (models, flows_folder):
        shutil.copytree(folder, tmp_path / "all", dirs_exist_ok=True)
    studio = analysis.Studio(tmp_path / "all", default="many")
    assert studio.library.names() == ["many", "shapes"] and studio.library.get().name == "many"
    assert {info.data for info in studio.images.kinds} >= {"shapes", "cifar10"}
    assert studio.images.net(FlowPicturesRequest()).name == "images-shapes"
    assert studio.points.net(Flow2DRequest()).name == "oracle"  # no net for points is in this folder
    assert studio.series.models == () and studio.series.folder == studio.folder


def test_a_studio_needs_a_model(tmp_path):
    with pytest.raises(UserError):
        analysis.Studio(tmp_path)
