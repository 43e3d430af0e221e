"""View "Atlas": clusters as buttons, one of them told, and what is said where there is no atlas."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import pytest

from analysis.core.errors import UserError
from analysis.workbench.atlas import SUFFIX, AtlasRequest, command_for, select
from analysis.workbench.library import ModelLibrary
from koopman_core.model import save
from tests.analysis.conftest import random_pair
from tests.atlas_document import DOCUMENT
from ui.tabs.inside.atlas import AtlasControls, AtlasTab, cluster_html, clusters_html, count_words


@pytest.fixture
def tab(tmp_path) -> AtlasTab:
    for name in ("tiny", "bare"):
        save(random_pair(0)[0], tmp_path / f"{name}.hkd.safetensors", {"name": name})
    library = ModelLibrary(tmp_path)
    document = DOCUMENT | {"checkpoint": library.get("tiny").checksums[0]}
    (tmp_path / f"tiny{SUFFIX}").write_text(json.dumps(document))
    return AtlasTab(library, AtlasControls.names())


def clicked(*indices: int) -> SimpleNamespace:
    return SimpleNamespace(_data={"points": list(indices)})


def test_clusters_in_the_order_asked_for_and_escaped():
    result = select(DOCUMENT, AtlasRequest(sort="effect"))
    page = clusters_html(result)
    assert page.index("skip0/c1") < page.index("skip0/c0") < page.index("skip1/c0")
    assert page.count("<button") == 3 and "<b>skip0/c1</b>" in page and "</script>" not in page
    assert "3 of 3" in count_words(result) and "other" in count_words(result)


def test_one_cluster_with_its_intervals():
    page = cluster_html(select(DOCUMENT, AtlasRequest()).clusters[0])
    for figure in ("0.03 [0.027, 0.033]", "40.0% [30.0%, 50.0%]", "other/skip0/c1", "cosine 0.70"):
        assert figure in page
    assert page.count("<img") == 3 and "</script>" not in page


def test_search_level_and_click(tab):
    shown = tab.show("tiny", "hair", -1, "address")
    assert shown["clusters"].count("<button") == 2 and "2 of 3" in shown["count"]
    assert tab.show("tiny", "", 1, "effect")["clusters"].count("<button") == 1
    chosen = tab.choose(clicked(1), model="tiny", search="hair", level=-1, sort="address")
    assert "tiny/skip1/c0" in chosen["cluster"]
    for wrong in (clicked(7), clicked(), clicked(0, 1)):
        with pytest.raises(UserError):
            tab.choose(wrong, model="tiny", search="hair", level=-1, sort="address")


def test_without_an_atlas_the_command_is_said(tab):
    shown = tab.show("bare", "", 99, "effect")
    assert "analysis.evaluate.atlas --model bare" in shown["clusters"]
    assert shown["cluster"] == shown["count"] == "" and shown["level"]["value"] == -1
    assert not shown["asked"]["visible"] and tab.show("tiny", "", -1, "effect")["asked"]["visible"]


def test_the_command_that_is_said_is_whole(tmp_path, capsys):
    """What it makes lies where the view looks; arguments that are missing or unknown would end the program."""
    _, _, module, *arguments = command_for("nobody").split()
    assert importlib.import_module(module).main([*arguments, "--models", str(tmp_path)]) != 0
    assert str(tmp_path) in capsys.readouterr().err and "--beside" in arguments
