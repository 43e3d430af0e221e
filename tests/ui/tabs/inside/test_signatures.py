"""View "Signatures" as plain functions."""

from __future__ import annotations

import base64
import json

import pytest

from analysis.workbench.signatures import SignatureRequest, contrast_names
from tests.ui.made import made_of
from ui.server.runs import Superseded
from ui.tabs.inside.signatures import CLASSES, SignatureControls, SignaturePart

BANDS = (0.6, 0.3, "alpha")


@pytest.fixture(scope="module")
def part(library):
    return SignaturePart(library, SignatureControls.names())


def test_the_list_is_the_models(part, library):
    for model in ("tiny", "tiny-classes"):
        known = [name or CLASSES for name in contrast_names(library.get(model))]
        shown = part.contrasts(model, "no such thing")["contrast"]
        assert shown["choices"] == [(name, name) for name in known] or shown["choices"] == known
        assert shown["value"] == (known[0] if known else None) and shown["interactive"] == bool(known)
        if known:
            assert part.contrasts(model, known[-1])["contrast"]["value"] == known[-1]


def test_a_measurement_is_the_workbenchs(part, library):
    shown = part.measure("tiny-classes", CLASSES, *BANDS, 8, 0.3)
    bench = library.get("tiny-classes")
    question = SignatureRequest("", 8, (0.3, 0.6), "alpha")
    assert shown["request"] == ("tiny-classes", question)
    result = bench.signatures(question)
    assert made_of(shown["words"])[0]["model"] == "tiny-classes"
    assert json.loads(shown["profile"]["value"])["data"][0]["y"] == list(result.groups)
    assert shown["distance"]["visible"] == (len(result.groups) > 2)
    other = part.at(shown["request"], 1.0)
    assert other["profile"]["value"] != shown["profile"]["value"]
    assert not part.at(None, 0.0)["profile"]["visible"]


def test_energies_are_saved(part):
    shown = part.measure("tiny-classes", None, *BANDS, 8, 0.0)
    saved = json.loads(part.save(shown["request"]))
    assert saved["name"].endswith(".csv") and base64.b64decode(saved["data"].rpartition(",")[2]).startswith(b"picture,")


def test_it_can_be_stopped(part):
    def stop(share, what):
        raise Superseded

    with pytest.raises(Superseded):
        part.measure("tiny-classes", CLASSES, *BANDS, 16, 0.0, stop)
