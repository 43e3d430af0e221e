"""A folder that runs an HKD model in the visitor's browser: `python -m analysis.export.web --model NAME --out DIR`.

The page itself is built from web/ and lies beside this file, so that nobody needs Node to write a site; only the wasm
of onnxruntime-web, 14 MB, is not in the repository (docs/static_page.md).
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import math
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import koopman_core
from analysis.core.errors import UserError
from analysis.export.onnx_graphs import Difference, write_graphs
from analysis.export.web_flow import write_flow
from analysis.guide.lessons import EDGES, LESSONS, SEED
from analysis.recipes.recipe import FORMAT_VERSION, PROGRAM, TORCH
from analysis.workbench.findings import overall_errors
from analysis.workbench.images import GenerateRequest
from analysis.workbench.probes import LinearityRequest
from analysis.workbench.session import class_names
from analysis.workbench.workbench import Workbench
from foundation.checkpoints import CheckpointError, checksum
from foundation.models import MODELS_DIR
from foundation.randomness import MAX_SEED
from koopman_core.edm import EDM, RHO, SIGMA_MAX, SIGMA_MIN
from koopman_core.model import KoopmanDiffusion

HERE = Path(__file__).resolve().parent
PAGE, SOURCE = HERE / "web_page", HERE.parents[1] / "web"
PAGE_FILES = ("index.html", "page.css", "page.js", "engine.js", "engine-gpu.js", "flow.js", "sw.js")
RUNTIME = {  # of onnxruntime-web's dist: the loader as it is, the wasm compressed
    "ort-wasm-simd-threaded": "cpu",
    "ort-wasm-simd-threaded.asyncify": "gpu",
}
NO_RUNTIME = (
    "The page needs the wasm files of onnxruntime-web {version}: install Node.js and run `npm ci` in web/, or unpack "
    "that npm package anywhere and name its folder dist with --runtime."
)
STYLES = {"nested": ("Layout", "Shape", "Detail"), "plain": ("Smallest α", "Middle α", "Largest α")}


@dataclass(frozen=True)
class Site:
    """What was written.

    Attributes:
        folder: where.
        bytes: of all files together.
        difference: between the graphs and PyTorch.
    """

    folder: Path
    bytes: int
    difference: Difference


def runtime_version() -> str:
    """The pinned release of onnxruntime-web."""
    return json.loads((SOURCE / "package.json").read_text())["dependencies"]["onnxruntime-web"]


def find_runtime(runtime: str | Path | None = None) -> Path:
    """The dist folder of onnxruntime-web: the given one, else that in web/, where npm puts it when it is missing.

    Raises:
        UserError: not there; the sentence says the cure.
    """
    sentence = NO_RUNTIME.format(version=runtime_version())
    dist = Path(runtime) if runtime else SOURCE / "node_modules" / "onnxruntime-web" / "dist"
    if not runtime and not dist.is_dir() and shutil.which("npm"):
        command = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=SOURCE, capture_output=True, check=False)
    if not all((dist / f"{name}{end}").is_file() for name in RUNTIME for end in (".wasm", ".mjs")):
        raise UserError(sentence)
    package = dist.parent / "package.json"
    version = json.loads(package.read_text()).get("version") if package.is_file() else runtime_version()
    if version != runtime_version():
        raise UserError(f"{dist} is of release {version}, and the page was built for another one. {sentence}")
    return dist


def write_runtime(folder: Path, dist: Path) -> None:
    """Copy the runtime: loaders as .js, since some servers do not know .mjs, and wasm compressed to a quarter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in RUNTIME.items():
        shutil.copyfile(dist / f"{name}.mjs", folder / f"{kind}.js")
        (folder / f"{kind}.wasm.gz").write_bytes(gzip.compress((dist / f"{name}.wasm").read_bytes(), 9, mtime=0))


def load_pair(name: str) -> tuple[str, KoopmanDiffusion, EDM | None]:
    """Name, model, and the teacher that its card names where its file lies beside the model's.

    Raises:
        UserError: no such model, or a damaged file.
    """
    try:
        model = koopman_core.load(name)
        folder = Path(name).parent if name.endswith(".safetensors") else MODELS_DIR
        file = folder / f"{model.card.get('teacher', '')}.teacher.safetensors"
        teacher = koopman_core.load_teacher(file) if file.is_file() else None
    except CheckpointError as e:
        raise UserError(str(e)) from None
    return Path(name).name.removesuffix(".safetensors").removesuffix(".hkd"), model, teacher


def write_spectrum(model: KoopmanDiffusion, path: Path) -> list[dict]:
    """Write alpha and beta of every latent as float32, one after the other; names and shapes are returned."""
    entries = model.spectrum()
    numbers = [part.numpy().ravel() for e in entries for part in (e.alpha, e.beta)]
    path.write_bytes(np.concatenate(numbers).astype("<f4").tobytes())
    return [{"name": e.name, "shape": list(e.shape)} for e in entries]


def _plain(value):
    """JSON has no infinity, and cards come from strangers."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def describe(name: str, model: KoopmanDiffusion, teacher: EDM | None) -> dict:
    """What the page has to know of a model beside its weights."""
    bench = Workbench(model, name=name)
    student = model.card.get("recipe", {}).get("student", {}) if isinstance(model.card.get("recipe"), dict) else {}
    blurs = student.get("nested_blurs", ()) if isinstance(student, dict) else ()
    nested = isinstance(blurs, (list, tuple)) and len(blurs) == 2
    label = 0 if model.config.classes else -1
    return {
        "name": name,
        "summary": str(model.card.get("summary", "")),
        "picture": list(model.picture_shape),
        "classes": list(bench.classes) if class_names(model.card) or model.config.classes else [],
        "koopman": {"warp": model.koopman.warp, "evolved": model.koopman.evolved},
        "edm": {"sigmaMin": SIGMA_MIN, "sigmaMax": SIGMA_MAX, "rho": RHO},
        "bands": {"edges": [1 / 3, 2 / 3], "names": list(STYLES["nested" if nested else "plain"]), "nested": nested},
        "checkpoint": checksum(model),
        "teacher": checksum(teacher) if teacher is not None else None,
        "start": {"seed": SEED, "label": label, "picture": _picture(bench, SEED, label)},
        "card": _plain(model.card),
    }


def _picture(bench: Workbench, seed: int, label: int) -> str:
    """The picture that the page shows while the model loads and checks itself by: base64 of H x W x 3 bytes."""
    picture = bench.generate(GenerateRequest((seed,), label)).pictures[0]
    return base64.b64encode(picture.tobytes()).decode("ascii")


def linearity(model: KoopmanDiffusion, teacher: EDM | None) -> dict | None:
    """What the lesson about linearity measures, which takes the teacher: level by level; None without a teacher."""
    question = next(lesson.preset for lesson in LESSONS if isinstance(lesson.preset, LinearityRequest))
    if teacher is None:
        return None
    result = Workbench(model, teacher).linearity(question)
    errors = overall_errors(result.learned if result.differences is None else result.differences["learned"])
    return {"names": list(result.names), "errors": [float(e) for e in errors]}


def lessons() -> list[dict]:
    """The tour's six lessons with their presets as plain data."""
    out = []
    for lesson in LESSONS:
        presets = lesson.preset if isinstance(lesson.preset, tuple) else (lesson.preset,)
        settings = [{"kind": type(p).__name__.removesuffix("Request"), **asdict(p)} for p in presets]
        out.append({**asdict(lesson), "words": list(lesson.words), "preset": settings})
    return out


def write_site(
    model: str, out: str | Path, runtime: str | Path | None = None, gpu: bool = True, flows: Path = MODELS_DIR
) -> Site:
    """Write the whole site.

    Args:
        model: name of a shipped HKD model, or a checkpoint file.
        out: folder; files of an earlier site in it are replaced.
        runtime: dist folder of onnxruntime-web, see `find_runtime`.
        gpu: whether the runtime for WebGPU is added, 7 MB.
        flows: where the nets of the flow lab lie.

    Raises:
        UserError: with a sentence that tells the cure.
    """
    if not all((PAGE / file).is_file() for file in PAGE_FILES):
        raise UserError("The built page is missing: run `npm ci` and `npm run build` in web/.")
    dist = find_runtime(runtime)
    name, loaded, teacher = load_pair(model)
    if loaded.picture_shape[0] != 3:
        raise UserError("The page shows colour pictures, and this model does not make any: choose another model.")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder.")
    difference = write_graphs(loaded, folder / "model")
    site = describe(name, loaded, teacher)
    site["entries"] = write_spectrum(loaded, folder / "model" / "spectrum.bin")
    site["difference"] = asdict(difference)
    site["nets"] = write_flow(folder / "flow", flows)
    site["lessons"], site["lessonEdges"] = lessons(), list(EDGES)
    site["linearity"] = linearity(loaded, teacher)
    site |= {"program": PROGRAM, "torch": TORCH, "recipe": FORMAT_VERSION, "maxSeed": MAX_SEED, "gpu": gpu}
    write_runtime(folder / "runtime", dist)
    if not gpu:
        for part in (folder / "runtime").glob("gpu.*"):
            part.unlink()
    for file in PAGE_FILES:
        shutil.copyfile(PAGE / file, folder / file)
    (folder / "card.json").write_text(json.dumps(site.pop("card"), indent=1), "utf-8")
    _finish(folder, site)
    return Site(folder, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()), difference)


def _finish(folder: Path, site: dict) -> None:
    """Write site.json with the size of every file, and tell the service worker which version this is."""
    known = [*PAGE_FILES, "card.json"]
    known += [f"{room}/{f.name}" for room in ("model", "flow", "runtime") for f in sorted((folder / room).iterdir())]
    digest = hashlib.sha256()
    for file in known:
        digest.update(file.encode() + (folder / file).read_bytes())
    site["files"] = {file: (folder / file).stat().st_size for file in known}
    text = json.dumps(site, separators=(",", ":"), allow_nan=False)
    (folder / "site.json").write_text(text, "utf-8")
    digest.update(text.encode())
    worker = (folder / "sw.js").read_text("utf-8").replace("__VERSION__", digest.hexdigest()[:16])
    (folder / "sw.js").write_text(worker, "utf-8")


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a mistake that a sentence explains."""
    parser = argparse.ArgumentParser("python -m analysis.export.web", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="name of a shipped HKD model, or a .safetensors file")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--runtime", help="folder dist of the npm package onnxruntime-web, if not that in web/")
    parser.add_argument("--no-webgpu", action="store_true", help="leave out the runtime for WebGPU, 7 MB")
    told = parser.parse_args(argv)
    try:
        site = write_site(told.model, told.out, told.runtime, not told.no_webgpu)
    except UserError as e:
        print(e, file=sys.stderr)
        return 2
    d = site.difference
    print(
        f"{site.folder}: {site.bytes / 1e6:.1f} MB. Largest difference from PyTorch: pictures {d.pictures:.2e} of a "
        f"range of 2, latents {d.latents:.2e} of their largest value, weights in {'half' if d.half else 'single'} "
        f"precision.\nLook at it: python -m http.server --directory {site.folder} 8000, then http://localhost:8000"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
