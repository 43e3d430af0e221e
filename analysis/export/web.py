"""A folder that runs an HKD model in the visitor's browser: `python -m analysis.export.web --model NAME --out DIR`.

`--compare` writes none and prints how far the graphs of every shipped model are from PyTorch.

The page itself is built from web/ and lies beside this file, so that nobody needs Node to write a site; only the wasm
of onnxruntime-web, 14 MB, is not in the repository (docs/static_page.md).
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import io
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import koopman_core
from analysis.core.errors import UserError
from analysis.core.progress import Progress, part
from analysis.export.onnx_graphs import Difference, write_graphs
from analysis.export.web_flow import write_flow
from analysis.guide import lessons as guide
from analysis.guide.lessons import LESSONS, PICTURE_SEED, SLIDER_THIRDS
from analysis.koopman.ablations import mean_latents
from analysis.recipes.recipe import FORMAT_VERSION, PROGRAM, TORCH
from analysis.workbench.findings import overall_errors
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import LinearityRequest
from analysis.workbench.session import class_names
from analysis.workbench.workbench import Workbench
from foundation.files.checkpoints import CheckpointError, checksum
from foundation.files.models import MODELS_DIR
from foundation.randomness import MAX_SEED
from koopman_core.edm import RHO, SIGMA_MAX, SIGMA_MIN
from koopman_core.model import KoopmanDiffusion

HERE = Path(__file__).resolve().parent
BUILT_PAGE, PAGE_SOURCE = HERE / "web_page", HERE.parents[1] / "web"
PAGE_FILES = ("index.html", "page.css", "page.js", "engine.js", "engine-gpu.js", "flow.js", "sw.js", "licences.txt")
RUNTIME_VERSION = "1.30.0"  # of onnxruntime-web, that of web/package.json, which an installed copy does not have
RUNTIME = {  # of onnxruntime-web's dist: the loader as it is, the wasm compressed
    "ort-wasm-simd-threaded": "cpu",
    "ort-wasm-simd-threaded.asyncify": "gpu",
}
NO_RUNTIME = (
    "The page needs the wasm files of onnxruntime-web {version}: install Node.js and run `npm ci` in web/, or unpack "
    "that npm package anywhere and name its folder dist with --runtime."
)
CHECKS = {  # what a lesson's answer is judged by, in the words of the page
    "clear": guide.CLEAR, "near": guide.NEAR_LEVELS, "untouched": guide.UNTOUCHED, "guessed": guide.GUESSED,
    "front": guide.GROWING_SHARE, "faint": guide.FAINT, "alike": guide.ALIKE, "seeds": guide.FLOW_SEEDS,
}  # fmt: skip
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


def find_runtime(runtime: str | Path | None = None, install: bool = True) -> Path:
    """The dist folder of onnxruntime-web: the given one, else that in web/, where npm puts it when it is missing.

    Args:
        runtime: a folder to take.
        install: whether npm may be asked.

    Raises:
        UserError: not there; the sentence says the cure.
    """
    sentence = NO_RUNTIME.format(version=RUNTIME_VERSION)
    dist = Path(runtime) if runtime else PAGE_SOURCE / "node_modules" / "onnxruntime-web" / "dist"
    if install and not runtime and not dist.is_dir() and shutil.which("npm"):
        command = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=PAGE_SOURCE, capture_output=True, check=False)
    if not all((dist / f"{name}{end}").is_file() for name in RUNTIME for end in (".wasm", ".mjs")):
        raise UserError(sentence, "runtime")
    package = dist.parent / "package.json"
    version = json.loads(package.read_text()).get("version") if package.is_file() else RUNTIME_VERSION
    if version != RUNTIME_VERSION:
        raise UserError(
            f"{dist} is of release {version}, and the page was built for another one. {sentence}", "runtime"
        )
    return dist


def write_runtime(folder: Path, dist: Path) -> None:
    """Copy the runtime: loaders as .js, since some servers do not know .mjs, and wasm compressed to a quarter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in RUNTIME.items():
        shutil.copyfile(dist / f"{name}.mjs", folder / f"{kind}.js")
        (folder / f"{kind}.wasm.gz").write_bytes(gzip.compress((dist / f"{name}.wasm").read_bytes(), 9, mtime=0))


def opened(model: str | Workbench) -> Workbench:
    """A model with the teacher that its card names where its file lies beside the model's.

    Raises:
        UserError: no such model, or a damaged file.
    """
    if isinstance(model, Workbench):
        return model
    try:
        loaded = koopman_core.load(model)
        folder = Path(model).parent if model.endswith(".safetensors") else MODELS_DIR
        file = folder / f"{loaded.card.get('teacher', '')}.teacher.safetensors"
        teacher = koopman_core.load_teacher(file) if file.is_file() else None
    except CheckpointError as e:
        raise UserError(str(e)) from None
    return Workbench(loaded, teacher, name=Path(model).name.removesuffix(".safetensors").removesuffix(".hkd"))


def write_spectrum(model: KoopmanDiffusion, path: Path) -> list[dict]:
    """Write alpha and beta of every latent as float32, one after the other; names and shapes are returned."""
    entries = model.spectrum()
    numbers = [part.numpy().ravel() for e in entries for part in (e.alpha, e.beta)]
    path.write_bytes(np.concatenate(numbers).astype("<f4").tobytes())
    return [{"name": e.name, "shape": list(e.shape)} for e in entries]


def write_means(bench: Workbench, path: Path, report: Progress = None) -> None:
    """Write the mean of E(x_T) over many noises as float16, level after level: without a class, then of every class."""
    labels = range(-1, bench.model.config.classes)
    means = []
    for k, label in enumerate(labels):
        step = part(report, k / len(labels), (k + 1) / len(labels))
        means += [m.numpy().ravel() for m in mean_latents(bench.model, label, progress=step)]
    path.write_bytes(np.concatenate(means).astype("<f2").tobytes())


def _plain(value):
    """JSON has no infinity, and cards come from strangers."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def describe(bench: Workbench) -> dict:
    """What the page has to know of a model beside its weights."""
    model, teacher = bench.model, bench.teacher
    student = model.card.get("recipe", {}).get("student", {}) if isinstance(model.card.get("recipe"), dict) else {}
    blurs = student.get("nested_blurs", ()) if isinstance(student, dict) else ()
    nested = isinstance(blurs, (list, tuple)) and len(blurs) == 2
    label = 0 if model.config.classes else -1
    return {
        "name": bench.name,
        "summary": str(model.card.get("summary", "")),
        "picture": list(model.picture_shape),
        "classes": list(bench.classes) if class_names(model.card) or model.config.classes else [],
        "koopman": {"warp": model.koopman.warp, "evolved": model.koopman.evolved},
        "edm": {"sigmaMin": SIGMA_MIN, "sigmaMax": SIGMA_MAX, "rho": RHO},
        "bands": {"edges": [1 / 3, 2 / 3], "names": list(STYLES["nested" if nested else "plain"]), "nested": nested},
        "checkpoint": checksum(model),
        "teacher": checksum(teacher) if teacher is not None else None,
        "start": {"seed": PICTURE_SEED, "label": label, "picture": _picture(bench, PICTURE_SEED, label)},
        "card": _plain(model.card),
    }


def _picture(bench: Workbench, seed: int, label: int) -> str:
    """The picture that the page shows while the model loads and checks itself by: base64 of H x W x 3 bytes."""
    picture = bench.generate(GenerateRequest((seed,), label)).pictures[0]
    return base64.b64encode(picture.tobytes()).decode("ascii")


def linearity(bench: Workbench) -> dict | None:
    """What the lesson about linearity measures, which takes the teacher: level by level; None without a teacher."""
    question = next(lesson.preset for lesson in LESSONS if isinstance(lesson.preset, LinearityRequest))
    if bench.teacher is None:
        return None
    result = bench.linearity(question)
    errors = overall_errors(result.learned if result.differences is None else result.differences["learned"])
    return {"names": list(result.names), "errors": [float(e) for e in errors]}


def lessons() -> list[dict]:
    """The tour's six lessons with their presets as plain data, but for sentences about the studio's tabs."""
    out = []
    for lesson in LESSONS:
        presets = lesson.preset if isinstance(lesson.preset, tuple) else (lesson.preset,)
        settings = [{"kind": type(p).__name__.removesuffix("Request"), **asdict(p)} for p in presets]
        task = re.sub(r" [^.]*\btabs?\b[^.]*\.", "", lesson.task)
        out.append({**asdict(lesson), "words": list(lesson.words), "task": task, "preset": settings})
    return out


def write_site(
    model: str | Workbench,
    out: str | Path,
    runtime: str | Path | None = None,
    gpu: bool = True,
    flows: Path = MODELS_DIR,
    report: Progress = None,
) -> Site:
    """Write the whole site.

    Args:
        model: name of a shipped HKD model, a checkpoint file, or a workbench.
        out: folder; files of an earlier site in it are replaced.
        runtime: dist folder of onnxruntime-web, see `find_runtime`.
        gpu: whether the runtime for WebGPU is added, 7 MB.
        flows: where the nets of the flow lab lie.
        report: called with (share done, what); may raise to stop.

    Raises:
        UserError: with a sentence that tells the cure.
    """
    if not all((BUILT_PAGE / file).is_file() for file in PAGE_FILES):
        raise UserError("The built page is missing: run `npm ci` and `npm run build` in web/.", "page")
    say = report or (lambda share, what: None)
    say(0.0, "the runtime")
    dist = find_runtime(runtime)
    say(0.05, "the model")
    bench = opened(model)
    loaded = bench.model
    if loaded.picture_shape[0] != 3:
        raise UserError(
            "The page shows colour pictures, and this model does not make any: choose another model.", "model"
        )
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder.", "folder")
    difference = write_graphs(loaded, folder / "model", part(report, 0.1, 0.6))
    write_means(bench, folder / "model" / "means.bin", part(report, 0.6, 0.8))
    say(0.8, "the first picture and the lessons")
    site = describe(bench)
    site["entries"] = write_spectrum(loaded, folder / "model" / "spectrum.bin")
    site["difference"] = asdict(difference)
    site["nets"] = write_flow(folder / "flow", flows)
    site["lessons"], site["lessonEdges"], site["checks"] = lessons(), list(SLIDER_THIRDS), CHECKS
    site["linearity"] = linearity(bench)
    site |= {"program": PROGRAM, "torch": TORCH, "recipe": FORMAT_VERSION, "maxSeed": MAX_SEED, "gpu": gpu}
    say(0.9, "the page")
    write_runtime(folder / "runtime", dist)
    if not gpu:
        for file in (folder / "runtime").glob("gpu.*"):
            file.unlink()
    for page_file in PAGE_FILES:
        shutil.copyfile(BUILT_PAGE / page_file, folder / page_file)
    (folder / "card.json").write_text(json.dumps(site.pop("card"), indent=1), "utf-8")
    _finish(folder, site)
    return Site(folder, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()), difference)


def zipped_site(
    model: str | Workbench, runtime: str | Path | None = None, gpu: bool = False, report: Progress = None
) -> bytes:
    """The same as a ZIP that holds one folder of the model's name; arguments as in `write_site`.

    Without WebGPU by default: a file that is sent through a browser is better small.

    Raises:
        UserError: as `write_site`.
    """
    bench = opened(model)
    name = re.sub(r"[^\w.-]", "-", bench.name).strip(".") or "model"
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as parent:
        folder = write_site(bench, Path(parent) / name, runtime, gpu, report=report).folder
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(f for f in folder.rglob("*") if f.is_file()):
                archive.write(file, f"{name}/{file.relative_to(folder).as_posix()}")
    return packed.getvalue()


def compared(names: list[str]) -> list[str]:
    """Markdown rows: model, size of its graphs, largest differences from PyTorch, precision of the weights."""
    rows = ["| model | graphs, MB | pictures, steps of a byte | latents, relative | weights |", "|---|---|---|---|---|"]
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            d = write_graphs(opened(name).model, Path(folder))
            size = sum(f.stat().st_size for f in Path(folder).iterdir()) / 1e6
        kind = "half" if d.half else "single"
        rows.append(f"| `{name}` | {size:.1f} | {d.pictures * 127.5:.4f} | {d.latents:.1e} | {kind} precision |")
    return rows


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
    parser.add_argument("--model", help="name of a shipped HKD model, or a .safetensors file (that of the app)")
    parser.add_argument("--out", help="folder to write")
    parser.add_argument("--compare", action="store_true", help="print how far shipped graphs are from PyTorch")
    parser.add_argument("--runtime", help="folder dist of the npm package onnxruntime-web, if not that in web/")
    parser.add_argument("--no-webgpu", action="store_true", help="leave out the runtime for WebGPU, 7 MB")
    told = parser.parse_args(argv)
    if told.compare == bool(told.out):
        parser.error("give a folder with --out, or --compare alone")
    try:
        if told.compare:
            print("\n".join(compared([told.model] if told.model else ModelLibrary().names())))
            return 0
        site = write_site(told.model or ModelLibrary().default, told.out, told.runtime, not told.no_webgpu)
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
