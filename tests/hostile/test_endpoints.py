"""Every HTTP endpoint as the function that it is, with anything in its arguments."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given

from analysis.flow.images import ImageFlows
from analysis.recipes import recipe
from analysis.studio import Studio
from analysis.workbench.atlas import SUFFIX
from analysis.workbench.images import GenerateRequest
from tests.analysis.flow.image_flows import write_flows
from tests.atlas_document import DOCUMENT
from tests.hostile.judge import judged
from tests.hostile.strategies import base64_png, base64_states, changed_arguments, fuzz
from ui.api.endpoints import BY_NAME

EXAMPLES = 40
CHEAP = {
    "steps": 4, "times": 4, "points": 16, "pairs": 8, "width": 16, "dmd_rank": 2, "seeds": [0], "nfe": 2,
}  # fmt: skip
HONEST = {
    "flow_images": {"steps": True},
    "forecast": {"model": "alanine", "horizon": 2, "members": 2},
    "train_toy": {"steps": 25},
    "transport": {"sizes": [4], "seeds": 2},
    "inpaint": {"picture": base64_png(), "mask": base64_png(16, "L")},
    "colorize": {"picture": base64_png()},
    "attribution": {"rows": ["everything"]},
    "signatures": {"model": "tiny-classes", "count": 8},
    "invert": {"picture": base64_png()},
    "direction": {"method": "decoder", "strengths": [0.0, 1.0], "count": 1},
    "dynamics": {"npz": base64_states(), "draws": 10},
}


@pytest.fixture(scope="module")
def studio(library):
    bench = library.get("tiny")
    atlas = library.folder / f"tiny{SUFFIX}"
    atlas.write_text(json.dumps(DOCUMENT | {"checkpoint": bench.checksums[0]}))
    yield Studio(library=library, images=ImageFlows(write_flows(Path(tempfile.mkdtemp(prefix="flows")))))
    atlas.unlink()


def honest(name) -> dict:
    """Arguments that are quickly answered."""
    return {k: v for k, v in CHEAP.items() if k in BY_NAME[name].parameters} | HONEST.get(name, {})


@pytest.mark.parametrize("name", BY_NAME)
def test_what_the_cases_start_from_is_answered(studio, name):
    arguments = honest(name)
    if name == "recipe":
        bench = studio.library.get("tiny")
        arguments["recipe"] = recipe.to_json(recipe.describe(GenerateRequest((0,)), bench))
    assert judged(lambda: BY_NAME[name].function(studio)(**arguments)) is not None


@pytest.mark.parametrize("name", [name for name, endpoint in BY_NAME.items() if endpoint.parameters])
def test_anything_in_the_arguments(studio, name):
    ask = BY_NAME[name].function(studio)

    @fuzz(EXAMPLES)
    @given(changed=changed_arguments(list(BY_NAME[name].parameters)))
    def every(changed):
        judged(lambda: ask(**(honest(name) | changed)))

    every()
