"""What makes the start quick: it leaves nothing changed behind, and does what it says."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys

import gradio as gr
import pytest

from analysis.workbench.images import TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from ui.server.gradio_internals import one_server, without_stubs
from ui.server.startup import DEFAULT_SEED, DEFAULT_STEPS, first_trajectory, no_garbage

OPENED = """
import sys
stubs = []
sys.addaudithook(lambda event, args: event == "open" and str(args[0]).endswith(".pyi") and stubs.append(args[0]))
from ui.server.gradio_internals import without_stubs
with without_stubs():
    import gradio
print(len(stubs), gradio.__version__)
"""


@pytest.fixture
def thawed():
    yield
    gc.unfreeze()


def test_garbage_is_looked_for_again_afterwards_but_not_among_what_was_made(thawed):
    assert gc.isenabled()
    before = gc.get_freeze_count()
    with no_garbage():
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() > before


def test_a_failed_start_leaves_the_collector_as_it_was(thawed):
    before = gc.get_freeze_count()
    with pytest.raises(KeyError), no_garbage():
        raise KeyError
    assert gc.isenabled() and gc.get_freeze_count() == before
    gc.disable()
    try:
        with no_garbage():
            pass
        assert not gc.isenabled()  # who had turned it off keeps it off
    finally:
        gc.enable()


def test_gradio_is_imported_without_a_look_at_its_stubs():
    done = subprocess.run([sys.executable, "-c", OPENED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", gr.__version__]


def test_nothing_but_gradio_is_imported_otherwise():
    before = list(sys.meta_path)
    with without_stubs():
        (finder,) = set(sys.meta_path) - set(before)
        assert finder.find_spec("gradio.components") is None and finder.find_spec("json") is None
    assert sys.meta_path == before
    file = inspect.getfile(gr.Slider)
    assert file.endswith("slider.py")


def test_a_page_gets_its_one_server_when_it_is_launched():
    with one_server(), gr.Blocks() as demo:
        pass
    assert demo.app is None and demo.config["components"] == []
    try:
        app, _, _ = demo.launch(prevent_thread_lock=True, quiet=True, _frontend=False)
        assert app is demo.app and app is not None
    finally:
        demo.close()
    with gr.Blocks() as other:
        pass
    assert other.app is not None  # afterwards Gradio does as it always did


def test_the_first_trajectory_is_there_when_the_page_asks(models_folder):
    library = ModelLibrary(models_folder, default="tiny")
    with first_trajectory(library):
        pass
    bench = library.get()
    encodes, calls = bench.encodes, []
    bench.trajectory(TrajectoryRequest(DEFAULT_SEED, -1, DEFAULT_STEPS), lambda share, what: calls.append(share))
    assert bench.encodes == encodes == 1 and calls == []


def test_a_model_that_cannot_be_used_is_no_traceback(tmp_path, capfd):
    (tmp_path / "broken.hkd.safetensors").write_bytes(b"no model")
    library = ModelLibrary(tmp_path, default="broken")
    with first_trajectory(library):
        pass
    assert capfd.readouterr().err == ""
