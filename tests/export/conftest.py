"""A tiny model with classes and its site, with stand-ins for the runtime's files; and a shipped one's in Chromium."""

import gzip
import json

import pytest

import koopman_core
from analysis.export import onnx_graphs, web
from benchmarks.page import served
from koopman_core.model import KoopmanConfig
from tests.analysis.conftest import random_pair

MODEL = "shapes"
PATIENCE = 120_000  # ms: other work may have the processor
CLASSES = ["round", "long", "curly"]
NETWORK = {
    "resolution": 16, "patch_size": 2, "base": 8, "multipliers": (1, 2), "blocks": 1, "attention": (4,),
    "embedding": 16,
}  # fmt: skip


def random_model(seed=0, classes=3, koopman=None):
    """A model whose operators and labels matter."""
    model, teacher = random_pair(seed, classes, NETWORK, koopman)
    return model.requires_grad_(False), teacher


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A file of a model with classes, nested bands in its card, its teacher beside it."""
    folder = tmp_path_factory.mktemp("models")
    model, teacher = random_model()
    student = {"nested_blurs": [8.0, 2.0]}
    card = {"teacher": "tiny", "summary": "A tiny model", "data": {"classes": CLASSES}, "recipe": {"student": student}}
    koopman_core.save(model, folder / "tiny.hkd.safetensors", card)
    koopman_core.save(teacher, folder / "tiny.teacher.safetensors", {"name": "tiny"})
    return folder / "tiny.hkd.safetensors"


@pytest.fixture(scope="session")
def runtime(tmp_path_factory):
    """A dist folder whose files hold their own names."""
    package = tmp_path_factory.mktemp("runtime")
    (package / "package.json").write_text(json.dumps({"version": web.RUNTIME_VERSION}))
    (package / "dist").mkdir()
    for name in web.RUNTIME:
        for end in (".mjs", ".wasm"):
            (package / "dist" / f"{name}{end}").write_text(f"{name}{end}")
    return package / "dist"


@pytest.fixture(scope="session")
def site(checkpoint, runtime, tmp_path_factory):
    """A written site."""
    pytest.importorskip("onnxruntime", reason="the extra `web` is not installed")
    written = web.write_site(str(checkpoint), tmp_path_factory.mktemp("site"), runtime)
    assert gzip.decompress((written.folder / "runtime/cpu.wasm.gz").read_bytes()).startswith(b"ort-wasm")
    return written


@pytest.fixture(scope="session")
def classless():
    """A model without classes, with another time and operator at its bottleneck alone, and its graphs."""
    pytest.importorskip("onnxscript", reason="the extra `web` is not installed")
    model, _ = random_model(1, classes=0, koopman=KoopmanConfig(warp="log", evolved="bottleneck"))
    return model, onnx_graphs.graphs(model)


# in Chromium; who asks for `context` imports `browser` from tests.ui.conftest


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory):
    """The page of a shipped model with the real runtime."""
    pytest.importorskip("onnxscript", reason="the extra `web` is not installed")
    dist = web.PAGE_SOURCE / "node_modules" / "onnxruntime-web" / "dist"
    if not dist.is_dir():
        pytest.skip("onnxruntime-web is not installed: npm ci in web/")
    return web.write_site(MODEL, tmp_path_factory.mktemp("page"), dist).folder


@pytest.fixture(scope="session")
def address(page_folder):
    """Where it is served."""
    with served(page_folder) as where:
        yield where


@pytest.fixture
def complaints():
    """What pages say on their consoles."""
    return []


@pytest.fixture
def context(browser, address, complaints):
    """A context that lets nothing out, and fails on whatever a page says on its console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    strangers = []

    def route(r):
        if r.request.url.startswith((address, "data:", "blob:")):
            return r.continue_()
        strangers.append(r.request.url)
        return r.abort()

    context.route("**/*", route)
    context.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda e: complaints.append(str(e.error)))
    yield context
    context.close()
    assert not strangers and not complaints


def opened(context, address, where=""):
    page = context.new_page()
    page.goto(address + where)
    page.wait_for_selector("html[data-ready=model]", timeout=PATIENCE)
    return page
