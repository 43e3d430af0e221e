"""What bands are called: by what they were trained to be, where they were and are still cut that way."""

from __future__ import annotations

import gradio as gr
import pytest

from analysis.workbench.library import ModelInfo
from foundation.files.models import MODELS_DIR
from ui.components.bands import MEANT, bands_line, is_nested, keeping, kept_as, long_names, short_names


def info(card) -> ModelInfo:
    return ModelInfo("m", card, 1, 16, ())


NESTED, PLAIN = info({"recipe": {"student": {"nested_blurs": [4.0, 1.5]}}}), info({"recipe": {"student": {}}})


def test_a_nested_model_has_its_own_names():
    assert short_names(NESTED) == list(MEANT) and all(m in bands_line(NESTED) for m in MEANT)
    assert [n.split(", ")[0] for n in long_names(NESTED)] == list(MEANT)
    assert [w["label"] for w in keeping(NESTED)] == [f"Keep {m}" for m in MEANT]
    assert all("α" in w["info"] for w in keeping(NESTED))  # their rank is still told


def test_other_models_and_bands_by_size_go_by_rank():
    for names in (short_names(PLAIN), long_names(PLAIN), short_names(NESTED, "abs"), long_names(NESTED, "abs")):
        assert not set(MEANT) & {word for name in names for word in name.replace(",", "").split()}
    assert long_names(PLAIN) == short_names(PLAIN)


@pytest.mark.parametrize(
    "card", [{}, {"recipe": 3}, {"recipe": {"student": []}}, {"recipe": {"student": {"nested_blurs": ()}}}]
)
def test_a_strange_card_is_no_nested_one(card):
    assert not is_nested(info(card))


def test_sliders_take_the_names():
    with gr.Blocks():
        sliders = [gr.Slider() for _ in range(3)]
    assert [u["label"] for u in kept_as(sliders, NESTED).values()] == [f"Keep {m}" for m in MEANT]


def test_portraits_ships_as_a_nested_model():
    from analysis.workbench.library import ModelLibrary

    library = ModelLibrary(MODELS_DIR)
    assert is_nested(library.info("portraits")) and not is_nested(library.info("shapes"))
