"""Tiny models with random weights and the app on top of them, started once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")

import koopman_core
from analysis.workbench.library import ModelLibrary
from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.model import KoopmanDiffusion
from ui.server.gradio_internals import without_stubs

with without_stubs():  # sooner, and two workers do not write the same files
    import gradio  # noqa: F401

SIZE = {
    "resolution": 16,
    "base": 16,
    "patch_size": 2,
    "multipliers": (1, 2),
    "blocks": 1,
    "attention": (),
    "embedding": 32,
}
CLASSES = ("cat & dog", "<b>ship</b>", "plane")  # names that must be escaped


def _randomise(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2, generator=generator)


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory) -> Path:
    """`tiny` with a teacher, `tiny-classes` with classes and none, and a file that is no model."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    plain = KoopmanDiffusion(UNetConfig(**SIZE))
    classed = KoopmanDiffusion(UNetConfig(**SIZE, classes=len(CLASSES)))
    teacher = EDM(UNetConfig(**SIZE))
    for seed, model in enumerate((plain, classed, teacher)):
        _randomise(model, seed)
    card = {
        "name": "tiny",
        "teacher": "tiny",
        "data": {"classes": []},
        "metrics": {"mse": 0.5},
        "note": "<script>1</script>",
    }
    koopman_core.save(plain, folder / "tiny.hkd.safetensors", card)
    koopman_core.save(teacher, folder / "tiny.teacher.safetensors", {"name": "tiny"})
    koopman_core.save(
        classed, folder / "tiny-classes.hkd.safetensors", {"teacher": "none", "data": {"classes": CLASSES}}
    )
    (folder / "broken.hkd.safetensors").write_bytes(b"not a model")
    return folder


@pytest.fixture(scope="session")
def library(models_folder) -> ModelLibrary:
    return ModelLibrary(models_folder, default="tiny")


@pytest.fixture(scope="session")
def url(library) -> str:
    """Address of the running app."""
    from analysis.studio import Studio
    from tests.ui.serving import served
    from ui.app import build_app

    with served(build_app(Studio(library=library))) as address:
        yield address


@pytest.fixture(scope="module")  # closed before other modules: playwright keeps an event loop running
def browser():
    """A headless Chromium that is on this machine already."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, url, request):
    """The whole app in a window of the module's WINDOW, for tests of a module that has no page of its own."""
    from tests.ui.test_browser import visit

    page, complaints, _ = visit(browser, url)
    width, height = getattr(request.module, "WINDOW", (1440, 900))
    page.set_viewport_size({"width": width, "height": height})
    yield page
    page.close()
    assert complaints == []
