"""The static page's folder: graphs against PyTorch, and every number that the page computes with."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import flow_core
import koopman_core
from analysis.core.errors import UserError
from analysis.export import onnx_graphs, web, web_flow
from analysis.guide.lessons import LESSONS
from analysis.koopman.ablations import MEAN_NOISES, MEAN_SEED
from analysis.workbench.library import ModelLibrary
from flow_core.densities.distances import MMD
from flow_core.densities.toys import TOYS, drawn, toy
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from foundation import noise
from foundation.files.checkpoints import checksum
from foundation.files.models import MODELS_DIR
from koopman_core.edm import SIGMA_MAX
from tests.export.conftest import CLASSES, random_model
from tests.refusals import refuses

pytest.importorskip("onnxscript", reason="the extra `web` is not installed")


def read(site):
    return json.loads((site.folder / "site.json").read_text("utf-8"))


@pytest.mark.parametrize("label", [-1, 0, 2])
def test_graphs_compute_what_the_model_computes(site, checkpoint, label):
    model = koopman_core.load(checkpoint)
    encoder, decoder = (onnx_graphs.session(site.folder / "model" / f"{n}.onnx") for n in ("encoder", "decoder"))
    labels, told = torch.tensor([label]), {"label": np.array([label], np.int64)}
    x, sigma = 3.0 * noise([5], model.picture_shape), 2.5
    out = encoder.run(None, {"x": x.numpy(), "sigma": np.array([sigma], np.float32), **told})
    z = model.encode(x, sigma, labels)
    for ours, theirs in zip(z[:-1], out, strict=True):
        np.testing.assert_allclose(theirs, ours.numpy(), atol=2e-4)
    # the last skip and the bottleneck start as one tensor and part on the way
    moved = [latent + k for k, latent in enumerate(model.evolve(z, 1.0, 0.3))]
    picture = decoder.run(None, {f"z{k}": latent.numpy() for k, latent in enumerate(moved)} | told)[0]
    right = model.decode(moved, labels).numpy()
    assert np.abs(right).max() > 0.05
    np.testing.assert_allclose(picture, right, atol=2e-4)


def test_labels_matter_in_the_graphs(checkpoint):
    model = koopman_core.load(checkpoint)
    x = SIGMA_MAX * noise([1], model.picture_shape)
    one, other = (model(x, SIGMA_MAX, torch.tensor([k])) for k in (0, 1))
    assert float((one - other).abs().max()) > 1e-3  # else the test above could not see a label that is ignored


def test_a_model_without_classes_takes_no_label(classless, tmp_path, monkeypatch):
    model, plain = classless
    monkeypatch.setattr(onnx_graphs, "graphs", lambda model: plain)
    found = onnx_graphs.write_graphs(model, tmp_path)
    decoder = onnx_graphs.session(tmp_path / "decoder.onnx")
    assert [i.name for i in decoder.get_inputs()] == onnx_graphs.inputs_of(model)
    assert found.half and found.pictures < onnx_graphs.TOLERANCE


def test_weights_are_stored_in_half_precision(site, checkpoint):
    onnx = pytest.importorskip("onnx")
    parameters = sum(p.numel() for p in koopman_core.load(checkpoint).net.parameters())
    size = 0
    for name in ("encoder", "decoder"):
        graph = onnx.load(site.folder / "model" / f"{name}.onnx").graph
        for tensor in graph.initializer:
            n = int(np.prod(tensor.dims))
            size += n
            if n >= onnx_graphs.HALF_FROM and tensor.data_type != onnx.TensorProto.INT64:
                assert tensor.data_type == onnx.TensorProto.FLOAT16
    assert size > 0.9 * parameters


def test_weights_that_half_precision_spoils_stay_in_single(classless, tmp_path, monkeypatch):
    model, plain = classless
    halved = onnx_graphs.halved

    def coarse(graph):  # as if half precision had three bits
        copy = halved(graph)
        for tensor in copy.graph.initializer:
            if tensor.data_type == 10:  # FLOAT16
                bits = np.frombuffer(tensor.raw_data, np.uint16) & 0xFF00
                tensor.raw_data = bits.tobytes()
        return copy

    monkeypatch.setattr(onnx_graphs, "graphs", lambda model: plain)
    monkeypatch.setattr(onnx_graphs, "halved", coarse)
    found = onnx_graphs.write_graphs(model, tmp_path)
    assert not found.half and found.pictures < onnx_graphs.TOLERANCE
    assert (tmp_path / "decoder.onnx").read_bytes() == plain[1].SerializeToString()


def test_graphs_of_other_weights_are_refused(classless, tmp_path, monkeypatch):
    model, plain = classless
    other, _ = random_model(4, classes=0, koopman=model.koopman)
    monkeypatch.setattr(onnx_graphs, "graphs", lambda model: plain)
    with refuses("model"):
        onnx_graphs.write_graphs(other, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_network_that_onnx_does_not_know_gets_a_sentence(tmp_path):
    model, _ = random_model(5, classes=0)
    model.net.encoder.layers[0].forward = lambda x: torch.linalg.eigvals(x).real
    with refuses("model"):
        onnx_graphs.write_graphs(model, tmp_path)


def test_spectrum_is_the_models(site, checkpoint):
    numbers = np.frombuffer((site.folder / "model/spectrum.bin").read_bytes(), "<f4")
    at = 0
    told = read(site)["entries"]
    for entry, said in zip(koopman_core.load(checkpoint).spectrum(), told, strict=True):
        assert said == {"name": entry.name, "shape": list(entry.shape)}
        for part in (entry.alpha, entry.beta):
            np.testing.assert_array_equal(numbers[at : at + part.numel()], part.numpy().ravel())
            at += part.numel()
    assert at == len(numbers)


def test_means_are_those_of_many_noises(site, checkpoint):
    numbers = np.frombuffer((site.folder / "model/means.bin").read_bytes(), "<f2").astype(np.float32)
    model = koopman_core.load(checkpoint)
    seeds = range(MEAN_SEED, MEAN_SEED + MEAN_NOISES)
    at = 0
    for label in (-1, 0, 1, 2):
        x = SIGMA_MAX * noise(seeds, model.picture_shape)
        with torch.no_grad():
            z = model.encode(x, SIGMA_MAX, torch.full((len(seeds),), label))
        for latent in z:
            right = latent.double().mean(0).flatten().numpy()
            np.testing.assert_allclose(numbers[at : at + len(right)], right, atol=1e-3 * np.abs(right).max())
            at += len(right)
    assert at == len(numbers)


def test_site_says_what_the_model_is(site, checkpoint):
    said, model = read(site), koopman_core.load(checkpoint)
    assert said["classes"] == CLASSES and said["picture"] == [3, 16, 16]
    assert said["bands"]["nested"] and len(said["bands"]["names"]) == 3
    assert said["checkpoint"] == checksum(model)
    teacher = koopman_core.load_teacher(checkpoint.parent / "tiny.teacher.safetensors")
    assert said["teacher"] == checksum(teacher)
    assert len(said["linearity"]["errors"]) == len(model.operators)
    start = said["start"]
    shown = np.frombuffer(base64.b64decode(start["picture"]), np.uint8).reshape(16, 16, 3)
    right = model.one_step(noise([start["seed"]], model.picture_shape), torch.tensor([start["label"]]))[0]
    right = ((right.clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).numpy()
    assert np.abs(shown - right).max() <= 0.51


def test_every_file_is_named_with_its_size(site):
    said = read(site)
    there = {str(f.relative_to(site.folder)).replace("\\", "/") for f in site.folder.rglob("*") if f.is_file()}
    assert there == {*said["files"], "site.json"}
    changed = {"sw.js"}  # it is given its version after that
    assert all((site.folder / f).stat().st_size == n for f, n in said["files"].items() if f not in changed)
    assert "__VERSION__" not in (site.folder / "sw.js").read_text()
    assert site.bytes == sum(f.stat().st_size for f in site.folder.rglob("*") if f.is_file())


def test_no_file_names_another_host(site):
    for file in site.folder.rglob("*"):
        if file.suffix in (".html", ".css", ".json") or file.name in ("page.js", "flow.js", "sw.js"):
            text = file.read_text("utf-8")
            assert "https://" not in text.replace("http://localhost", ""), file.name


def test_lessons_are_the_tours(site):
    said = read(site)["lessons"]
    for lesson, written in zip(LESSONS, said, strict=True):
        assert (written["title"], tuple(written["words"])) == (lesson.title, lesson.words)
        assert lesson.task.startswith(written["task"]) and len(written["task"]) > 40
        assert not re.search(r"\btabs?\b", written["task"])  # the page has none
        presets = lesson.preset if isinstance(lesson.preset, tuple) else (lesson.preset,)
        seeds = [getattr(p, "seed", None) for p in presets]
        assert [p.get("seed") for p in written["preset"]] == seeds


def test_flow_nets_carry_their_weights(site):
    told = json.loads((site.folder / "flow/flow.json").read_text())
    numbers = np.frombuffer((site.folder / "flow/flow.bin").read_bytes(), "<f2")
    at = 0
    ship = {p.name.split(".")[0] for p in MODELS_DIR.glob("toy-*.safetensors")}
    assert {n["name"] for n in told["nets"]} == {n for n in ship if not n.endswith("-meanflow")}  # see the test below
    for form in told["nets"]:
        model = flow_core.load(form["name"])
        rows, columns = form["layers"][0]
        assert form["layers"] == [list(m.weight.shape) for m in model.modules() if isinstance(m, torch.nn.Linear)]
        first = numbers[at : at + rows * columns].reshape(rows, columns)
        np.testing.assert_array_equal(first.astype(np.float32), next(model.net.parameters()).numpy())
        at += sum(o * i + o for o, i in form["layers"])
    assert at == len(numbers)


def test_nets_of_mean_velocities_stay_out(tmp_path):
    config = PointConfig(width=8, depth=1)
    for name, flow in (("mean", FlowConfig("meanflow", 0.0, predicts="average")), ("plain", FlowConfig(path="icfm"))):
        flow_core.save(FlowModel(flow, config), tmp_path / f"toy-8gaussians-{name}.flow.safetensors", {})
    told = web_flow.write_flow(tmp_path / "flow", tmp_path)
    assert [n["name"] for n in told] == ["toy-8gaussians-plain"]


@pytest.mark.parametrize("name", TOYS)
def test_densities_carry_their_closed_form(name):
    form, density = web_flow.density(name), toy(name).density
    x = torch.tensor([[0.3, -1.2], [2.0, 1.0]], dtype=torch.float64)
    if "means" in form:
        d = ((x[:, None] - torch.tensor(form["means"], dtype=torch.float64)) ** 2).sum(-1)
        s2, w = torch.tensor(form["stds"], dtype=torch.float64) ** 2, torch.tensor(form["weights"], dtype=torch.float64)
        p = (w * (-0.5 * d / s2).exp() / (2 * torch.pi * s2)).sum(1)
        np.testing.assert_allclose(p, density.log_prob(x).exp(), rtol=1e-9)
    else:
        cells = np.array(form["cells"])
        for (a, b), p in zip(x.tolist(), density.log_prob(x).exp().tolist(), strict=True):
            column = int((a / form["side"] + 1) / 2 * cells.shape[1])
            row = int((1 - b / form["side"]) / 2 * cells.shape[0])
            area = (2 * form["side"]) ** 2 / cells.size
            assert p == pytest.approx(cells[row, column] / cells.sum() / area)
    points = np.array(form["points"]).reshape(-1, 2)
    assert len(points) == web_flow.HELD_OUT and np.abs(points).max() < 2 * form["extent"]


def test_without_the_runtime_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(web, "PAGE_SOURCE", tmp_path)
    with pytest.raises(UserError, match=re.escape(web.RUNTIME_VERSION)):
        web.find_runtime()


def test_a_runtime_of_another_release_is_refused(runtime, tmp_path):
    shutil.copytree(runtime, tmp_path / "dist")
    (tmp_path / "package.json").write_text('{"version": "0.0.1"}')
    with refuses("runtime", r"0\.0\.1"):
        web.find_runtime(tmp_path / "dist")
    assert web.find_runtime(runtime) == runtime


@pytest.mark.parametrize("name", ModelLibrary().names())
def test_every_shipped_model_can_be_exported(name, tmp_path):
    found = onnx_graphs.write_graphs(koopman_core.load(name), tmp_path)
    assert found.pictures < onnx_graphs.TOLERANCE and found.latents < 1e-4
    # with 14 MB of runtime and page, portraits is over the 40 MB that benchmarks.page aims at
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 32e6


def test_progress_rises_to_the_end_and_may_stop(checkpoint, runtime, tmp_path):
    shares = []
    web.write_site(str(checkpoint), tmp_path / "a", runtime, report=lambda share, what: shares.append((share, what)))
    assert [s for s, _ in shares] == sorted(s for s, _ in shares) and 0 <= shares[0][0] < shares[-1][0] <= 1
    assert len(shares) >= 4 and all(what for _, what in shares)

    def stop(share, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        web.write_site(str(checkpoint), tmp_path / "b", runtime, report=stop)


def test_a_site_as_one_file_is_the_folder(checkpoint, runtime, tmp_path):
    data = web.zipped_site(str(checkpoint), runtime)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert all(name.startswith("tiny/") for name in names) and archive.testzip() is None
        said = json.loads(archive.read("tiny/site.json"))
    assert {f"tiny/{file}" for file in [*said["files"], "site.json"]} == set(names)


def test_mistakes_are_sentences(tmp_path, runtime, capsys):
    assert web.main(["--model", "no-such-model", "--out", str(tmp_path / "a"), "--runtime", str(runtime)]) == 2
    assert "no-such-model" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with refuses("folder"):
        web.write_site("shapes", tmp_path / "file", runtime)


def test_the_runtime_is_pinned_and_the_lock_names_no_host():
    package = json.loads((web.PAGE_SOURCE / "package.json").read_text())
    assert package["dependencies"] == {"onnxruntime-web": web.RUNTIME_VERSION}
    lock = json.loads((web.PAGE_SOURCE / "package-lock.json").read_text())
    for name, version in {**package["dependencies"], **package["devDependencies"]}.items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert not any("resolved" in entry for entry in lock["packages"].values())
    assert all(entry.get("integrity") for path, entry in lock["packages"].items() if path)


def test_the_built_page_is_that_of_its_source(tmp_path):
    if shutil.which("node") is None:
        pytest.skip("no Node on this machine")
    if not (web.PAGE_SOURCE / "node_modules" / "esbuild").is_dir():
        pytest.skip("the page's tools are not installed: npm ci in web/")
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=web.PAGE_SOURCE, check=True, timeout=120)

    def digests(folder):
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}

    assert digests(tmp_path) == digests(web.BUILT_PAGE)
    assert set(digests(web.BUILT_PAGE)) == set(web.PAGE_FILES)
    assert sum(f.stat().st_size for f in web.BUILT_PAGE.iterdir()) < 300_000


def test_a_net_that_is_trained_in_the_browser_learns(tmp_path):
    esbuild = web.PAGE_SOURCE / "node_modules" / ".bin" / "esbuild"
    if shutil.which("node") is None or not esbuild.exists():
        pytest.skip("no Node on this machine, or the page's tools are not installed: npm ci in web/")
    script = Path(__file__).with_name("train_check.ts")
    built = [str(esbuild), str(script), "--bundle", "--format=esm", f"--outfile={tmp_path / 'check.mjs'}"]
    subprocess.run([*built, "--log-level=error"], check=True, timeout=120)
    for path in ("idff", "icfm"):
        ran = subprocess.run(
            ["node", str(tmp_path / "check.mjs"), "300", path], capture_output=True, text=True, check=True, timeout=280
        )
        said = json.loads(ran.stdout)
        density = drawn([[int(c) for c in row] for row in said["rows"]])
        mmd = MMD(density.sample(2048, 5))
        points = torch.tensor(said["points"]).view(-1, 2)
        assert mmd.unbiased(torch.tensor(said["points"]).view(-1, 2)) < 0.005 < 0.2 < said["noise"]
        assert said["trained"] == pytest.approx(mmd.unbiased(points), abs=3e-3)  # of another draw of data
        inside = density.density.log_prob(points.double()) > -torch.inf
        assert float(inside.double().mean()) == pytest.approx(said["inside"], abs=0.01)
        assert said["inside"] > 0.7
