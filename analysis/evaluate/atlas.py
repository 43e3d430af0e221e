"""The mode atlas: `python -m analysis.evaluate.atlas --model NAME --out FOLDER [--second NAME] [--beside]`.

Writes NAME.atlas.json and NAME.atlas.html, one offline page. Every step is kept in FOLDER/steps: stopped, the same
command goes on. What is measured stands in docs/method.md, "Mode atlas".
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import koopman_core
from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.core.images import as_pictures, magnified, png_base64
from analysis.core.progress import Progress, part
from analysis.export.atlas import atlas_html
from analysis.koopman import atlas as measures
from analysis.koopman import clusters as clustering
from analysis.koopman.jacobian import flat, unflat
from analysis.koopman.scenes import EVERYTHING, drawn_data, rows_of
from analysis.metrics.image import frequency_centroid
from analysis.recipes import recipe as recipes
from analysis.workbench.atlas import ATLAS_FORMAT, SUFFIX
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MAX_MODES, ModeRequest
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.metrics.statistics import Interval, bootstrap_interval
from foundation.randomness import FIRST_SEED
from foundation.training.commands import percent_bar, resumable
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import MODELS_DIR

ATLAS_NOISES = 64  # over which a mode's standard deviation is taken
SHOWN_SEEDS = 3  # seeds of a cluster
VERSION = 1  # of what the steps hold
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class AtlasSettings:
    """How much is measured.

    Attributes: noises that clusters are left out of; pictures at which effects are taken; pairs of scenes a factor;
    factors of a cluster that are measured in pictures, those that move its latents most; label of all pictures.
    """

    noises: int = 16
    pictures: int = 8
    pairs: int = 12
    factors: int = 3
    label: int = -1


def address(model: str, level: str, number: int) -> str:
    """Of a cluster, such as "shapes/skip3/c12"."""
    return f"{model}/{level.replace(' ', '')}/c{number}"


class Survey:
    """The measurements of one model, step by step, each kept in a file.

    Args:
        bench: the model.
        folder: of the steps.
        settings: how much.
    """

    def __init__(self, bench: Workbench, folder: Path, settings: AtlasSettings):
        self.bench, self.model, self.settings = bench, bench.model, settings
        bench.label(settings.label)
        key = json.dumps([VERSION, bench.checksums[0], asdict(settings)])
        self.folder = folder / f"{bench.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        self.shapes = [e.shape for e in bench.entries]
        self.sizes = [e.alpha.numel() for e in bench.entries]
        self.seeds = list(range(FIRST_SEED, FIRST_SEED + settings.noises))
        self.data = drawn_data(self.model.card) if self.model.config.channels == 3 else None
        self.rows = rows_of(self.data) if self.data else ()
        for p in self.model.parameters():
            p.requires_grad_(False)

    def kept(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Arrays of a step, made where their file is not there."""
        path = self.folder / f"{name}.npz"
        if path.is_file():
            with np.load(path, allow_pickle=False) as there:
                return dict(there)
        made = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        part_file = path.with_suffix(".part")
        with open(part_file, "wb") as f:
            np.savez(f, **made)  # type: ignore[arg-type]  # of arrays by name
        part_file.replace(path)
        return made

    def labels(self, count: int) -> Tensor | None:
        return self.bench.labels(self.settings.label, count)

    def latents(self, seeds: range | list[int]) -> Tensor:
        """Of noises at eps, (n, N)."""
        rows = []
        for low in range(0, len(seeds), measures.ATLAS_BATCH):
            some = list(seeds[low : low + measures.ATLAS_BATCH])
            x = SIGMA_MAX * noise(some, self.model.picture_shape)
            rows.append(flat(self.model.evolve(self.model.encode(x, SIGMA_MAX, self.labels(len(x))), 1.0, 0.0)))
        return torch.cat(rows)

    # -----------------------------------------------------------------------------------------------------------------
    # Steps

    def mean(self, progress: Progress) -> Tensor:
        """Mean latents of the ablation at eps, (1, N)."""

        def make() -> Arrays:
            at_noise = self.bench.mean(self.settings.label, progress)
            return {"mean": flat(self.model.evolve(at_noise, 1.0, 0.0)).numpy()}

        return torch.from_numpy(self.kept("mean", make)["mean"])

    def energy(self, progress: Progress) -> Tensor:
        """Effect energy over two halves of the pictures, (2, K cells^2, modes)."""

        def spread() -> Arrays:
            with torch.no_grad():
                z = self.latents(range(FIRST_SEED, FIRST_SEED + ATLAS_NOISES))
            return {"spread": z.std(0).numpy(), "some": z[: self.settings.pictures].numpy()}

        known = self.kept("spread", spread)
        scale, some = torch.from_numpy(known["spread"]), torch.from_numpy(known["some"])
        halves: list[list[Tensor]] = [[], []]
        for i in range(self.settings.pictures):

            def make(i: int = i) -> Arrays:
                z = unflat(some[i : i + 1], self.shapes)
                return {"energy": clustering.effect_energy(self.model, z, scale, self.labels(1), seed=i).numpy()}

            found = torch.from_numpy(self.kept(f"energy-{i}", make)["energy"])
            halves[i % 2].append(found)
            if progress is not None:
                progress((i + 1) / self.settings.pictures, "effects of modes")
        return torch.stack([torch.stack(half).mean(0) for half in halves])

    def differences(self, progress: Progress) -> Tensor | None:
        """Squared differences between scenes over two halves of the pairs, (2, F, modes); None without factors."""
        if self.data is None:
            return None
        out = []
        for i, row in enumerate(self.rows):

            def make(row: str = row) -> Arrays:
                assert self.data is not None
                return {"both": clustering.mode_differences(self.model, *self.pairs(row)).numpy()}

            out.append(torch.from_numpy(self.kept(f"scenes-{row}", make)["both"]))
            if progress is not None:
                progress((i + 1) / len(self.rows), f"scenes that differ in {row}")
        return torch.stack(out, 1)

    def pairs(self, row: str) -> tuple[Tensor, Tensor]:
        assert self.data is not None
        return clustering.scene_latents(self.model, self.data, row, self.settings.pairs, FIRST_SEED)

    def levels(self, progress: Progress) -> list[clustering.LevelClusters]:
        """Clusters of every level."""
        energy = self.energy(part(progress, 0.0, 0.7))
        differences = self.differences(part(progress, 0.7, 1.0))
        parts = energy.split(self.sizes, 2)
        others = [None] * len(parts) if differences is None else list(differences.split(self.sizes, 2))
        out = []
        for level, (own, other) in enumerate(zip(parts, others, strict=True)):

            def make(own: Tensor = own, other: Tensor | None = other) -> Arrays:
                found = clustering.cluster_level(own, other)
                tried = np.array(list(found.silhouettes.items()), dtype=np.float64).reshape(-1, 2)
                return {"number": found.number.numpy(), "effect": found.effect.numpy(), "tried": tried}

            kept = self.kept(f"clusters-{level}", make)
            tried = {int(k): float(v) for k, v in kept["tried"]}
            out.append(
                clustering.LevelClusters(torch.from_numpy(kept["number"]), torch.from_numpy(kept["effect"]), tried)
            )
        return out

    @torch.no_grad()
    def left_out(self, level: int, found: clustering.LevelClusters, progress: Progress) -> Arrays:
        """Effects of the level's clusters and of their controls, (K, n, C, H, W) float16."""

        def make() -> Arrays:
            z, mean = (unflat(rows, self.shapes) for rows in (self.latents(self.seeds), self.mean(None)))
            y = self.labels(len(self.seeds))
            full = self.model.decode(z, y)
            effects: list[np.ndarray] = []
            controls: list[np.ndarray] = []
            for c in range(found.count):
                for out, modes in (
                    (effects, found.modes(c)), (controls, measures.control(found.number, found.modes(c), c)),
                ):  # fmt: skip
                    out.append(measures.left_out(self.model, z, mean, full, level, modes.tolist(), y).half().numpy())
                if progress is not None:
                    progress((c + 1) / found.count, f"level {level} without a cluster")
            empty = np.zeros((0, *full.shape), np.float16)
            return {
                "effects": np.stack(effects) if effects else empty,
                "controls": np.stack(controls) if controls else empty,
            }

        return self.kept(f"left-out-{level}", make)

    @torch.no_grad()
    def carried(
        self, level: int, found: clustering.LevelClusters, differences: Tensor | None, progress: Progress
    ) -> list[dict[str, list[float]]]:
        """Shares of factors by cluster, for those that move its latents most, and for unrelated scenes."""
        if differences is None:
            return [{} for _ in range(found.count)]
        asked = [self._first_factors(found, differences, c) for c in range(found.count)]

        def make() -> Arrays:
            table = np.full((found.count, len(self.rows), 3), np.nan)
            for f, row in enumerate(self.rows):
                inside = [c for c in range(found.count) if row in asked[c]]
                if inside:
                    before, after = (unflat(rows, self.shapes) for rows in self.pairs(row))
                    modes = [found.modes(c).tolist() for c in inside]
                    shares = measures.exchange_factor(self.model, before, after, level, modes)
                    table[inside, f] = shares.T.numpy()
                if progress is not None:
                    progress((f + 1) / len(self.rows), f"level {level}, {row} exchanged")
            return {"share": table}

        share = self.kept(f"carried-{level}", make)["share"]
        return [{row: share[c, self.rows.index(row)].tolist() for row in asked[c]} for c in range(found.count)]

    def _first_factors(self, found: clustering.LevelClusters, differences: Tensor, cluster: int) -> list[str]:
        """The factors to measure in pictures: by squared difference weighed with the effect; the yardstick last."""
        inside = found.number == cluster
        moved = differences.mean(0)[:, inside] / differences.mean(0)[-1:, inside].clamp_min(1e-20)
        amount = (moved * found.effect[inside]).sum(1)[:-1]
        first = amount.argsort(descending=True)[: self.settings.factors].tolist()
        return [*(self.rows[f] for f in first), EVERYTHING]


# ---------------------------------------------------------------------------------------------------------------------
# The document


@dataclass(frozen=True)
class Measured:
    """Of one model. Attributes: levels; left_out and carried by level."""

    levels: list[clustering.LevelClusters]
    left_out: list[Arrays]
    carried: list[list[dict[str, list[float]]]]

    def stacked(self, which: str) -> Tensor:
        return torch.from_numpy(np.concatenate([a[which] for a in self.left_out]))


def measure(survey: Survey, progress: Progress = None, factors: bool = True) -> Measured:
    """All steps of one model; `factors` False leaves out what is exchanged."""
    survey.mean(part(progress, 0.0, 0.1))
    levels = survey.levels(part(progress, 0.1, 0.4))
    differences = survey.differences(None)
    apart = None if differences is None else differences.split(survey.sizes, 2)
    out, carried = [], []
    for i, found in enumerate(levels):
        start, step = 0.4 + 0.6 * i / len(levels), 0.3 / len(levels)
        out.append(survey.left_out(i, found, part(progress, start, start + step)))
        own = apart[i] if apart is not None and factors else None
        carried.append(survey.carried(i, found, own, part(progress, start + step, start + 2 * step)))
    return Measured(levels, out, carried)


def _triple(v: Interval) -> list[float]:
    return [float(f"{x:.6g}") for x in (v.value, v.low, v.high)]


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _quantiles(values: Tensor) -> list[float]:
    return [float(f"{v:.6g}") for v in torch.quantile(values.double(), torch.tensor([0.1, 0.5, 0.9]).double()).tolist()]


def _picture(x: Tensor) -> str:
    return png_base64(as_pictures(x[None], "train the model longer")[0])


def _cluster(survey: Survey, measured: Measured, level: int, number: int, full: Tensor) -> dict[str, Any]:
    bench, found = survey.bench, measured.levels[level]
    entry, modes = bench.entries[level], found.modes(number)
    effects, controls = (torch.from_numpy(measured.left_out[level][k][number]).float() for k in ("effects", "controls"))
    mse, control = (e.double().square().mean((1, 2, 3)) for e in (effects, controls))
    where = measures.place_of(effects.double().square().mean((0, 1)))
    heat = measures.effect_map(effects)
    scale = float(heat.max())
    seeds: list[dict[str, Any]] = []
    for i in mse.argsort(descending=True)[:SHOWN_SEEDS].tolist():
        difference, factor = magnified(effects[i])
        seeds.append({
            "seed": survey.seeds[i], "mse": float(f"{float(mse[i]):.6g}"), "full": _picture(full[i]),
            "without": _picture(full[i] - effects[i]), "difference": png_base64(difference),
            "magnification": float(f"{factor:.4g}"),
        })  # fmt: skip
    carried = measured.carried[level][number]
    everything = carried.get(EVERYTHING)
    factors: list[dict[str, Any]] = [
        {"name": row, "share": [float(f"{v:.6g}") for v in share], "carried": bool(share[1] > everything[2])}
        for row, share in carried.items() if row != EVERYTHING and everything and np.isfinite(share).all()
    ]  # fmt: skip
    factors.sort(key=lambda f: -f["share"][0])
    recipe = None
    if len(modes) <= MAX_MODES:
        request = ModeRequest(seeds[0]["seed"], level, tuple(modes.tolist()), survey.settings.label)
        recipe = json.loads(recipes.describe(request, bench).text)
    return {
        "address": address(bench.name, entry.name, number), "level": level, "number": number, "name": entry.name,
        "modes": modes.tolist(), "effect": _triple(bootstrap_interval(mse)),
        "control": _triple(bootstrap_interval(control)), "gain": _triple(bootstrap_interval(mse - control)),
        "x": _finite(where.x), "y": _finite(where.y), "radius": _finite(where.radius), "place": where.words,
        "frequency": _finite(float(frequency_centroid(effects).nanmean())),
        "alpha": _quantiles(entry.alpha.flatten()[modes]), "beta": _quantiles(entry.beta.flatten()[modes].abs()),
        "picture": _picture(2 * heat / max(scale, 1e-12) - 1), "scale": float(f"{scale:.6g}"), "seeds": seeds,
        "factors": factors, "everything": None if everything is None else [float(f"{v:.6g}") for v in everything],
        "match": "", "cosine": None, "again": None, "recipe": recipe,
    }  # fmt: skip


def _stability(
    clusters: list[dict[str, Any]], own: Measured, survey: Survey, other: Measured
) -> tuple[int, float]:  # fmt: skip
    """Fill in the matches with a second training; how many are found again, and the cosine that it takes."""
    names = [
        address(survey.bench.name, e.name, c)
        for e, found in zip(survey.bench.entries, other.levels, strict=True) for c in range(found.count)
    ]  # fmt: skip
    matched = measures.match(own.stacked("effects"), other.stacked("effects"), other.stacked("controls"))
    for cluster, partner, cosine, again in zip(clusters, matched.partner, matched.cosine, matched.again, strict=True):
        cluster["match"] = names[partner] if partner >= 0 else ""
        cluster["cosine"], cluster["again"] = _finite(float(cosine)), bool(again)
    return int(matched.again.sum()), matched.bound


def make_atlas(
    bench: Workbench, folder: Path, settings: AtlasSettings | None = None, second: Workbench | None = None,
    command: str = "", progress: Progress = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure an atlas; the document as JSON values.

    Args:
        bench: the model.
        folder: of the steps.
        settings: how much is measured.
        second: another training, for stability; of pictures of the same size.
        command: that makes it again.
        progress: called with (share done, what); may raise to stop.

    Raises:
        UserError: a second training of other pictures; no such class.
    """
    settings = settings or AtlasSettings()
    if second is not None and second.model.picture_shape != bench.model.picture_shape:
        raise UserError("The second training makes pictures of another size: name one of the same data.", "second")
    survey = Survey(bench, folder, settings)
    measured = measure(survey, part(progress, 0.0, 0.6 if second else 1.0))
    with torch.no_grad():
        full = bench.model.decode(unflat(survey.latents(survey.seeds), survey.shapes), survey.labels(len(survey.seeds)))
    clusters = [
        _cluster(survey, measured, level, c, full)
        for level, found in enumerate(measured.levels) for c in range(found.count)
    ]  # fmt: skip
    again, bound = None, None
    if second is not None:
        there = Survey(second, folder, settings)
        again, bound = _stability(clusters, measured, there, measure(there, part(progress, 0.6, 1.0), factors=False))
    return {
        "format": ATLAS_FORMAT, "model": bench.name, "checkpoint": bench.checksums[0], "program": recipes.PROGRAM,
        "torch": recipes.TORCH, "command": command, "settings": asdict(settings), "criterion": clustering.CRITERION,
        "second": second.name if second else "", "second_checkpoint": second.checksums[0] if second else None,
        "again": again, "again_bound": bound, "data": survey.data,
        "levels": [
            {"name": e.name, "modes": len(found.number), "idle": int((found.number < 0).sum()),
             "clusters": found.count, "silhouettes": {str(k): _finite(v) for k, v in found.silhouettes.items()}}
            for e, found in zip(bench.entries, measured.levels, strict=True)
        ],
        "clusters": clusters,
    }  # fmt: skip


def _open_second(name: str, library: ModelLibrary) -> Workbench:
    if name in library.names():
        return library.get(name)
    model = koopman_core.load(name)
    return Workbench(model, None, Path(name).name.split(".")[0])


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    usual = AtlasSettings()
    parser = argparse.ArgumentParser(prog="analysis.evaluate.atlas", description=__doc__)
    parser.add_argument("--model", required=True, help="name of an HKD model in --models")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    parser.add_argument("--out", type=Path, required=True, help="folder of the atlas and of its steps")
    parser.add_argument("--second", default=None, help="another training: a name in --models, or a checkpoint file")
    parser.add_argument("--noises", type=int, default=usual.noises, help="that clusters are left out of, 2 to 256")
    parser.add_argument("--pictures", type=int, default=usual.pictures, help="at which effects are taken, 2 to 64")
    parser.add_argument("--pairs", type=int, default=usual.pairs, help="of scenes a factor, 4 to 512")
    parser.add_argument("--factors", type=int, default=usual.factors, help="of a cluster, 1 to 64")
    parser.add_argument("--label", type=int, default=usual.label, help="class of all pictures, -1 for none")
    parser.add_argument("--beside", action="store_true", help="also put the JSON beside the model, where the page asks")
    args = parser.parse_args(argv)

    def work() -> None:
        settings = AtlasSettings(
            whole(args.noises, 2, 256, "--noises"), whole(args.pictures, 2, 64, "--pictures"),
            whole(args.pairs, 4, 512, "--pairs"), whole(args.factors, 1, 64, "--factors"), args.label,
        )  # fmt: skip
        library = ModelLibrary(args.models)
        bench = library.get(args.model)
        second = None if args.second is None else _open_second(args.second, library)
        asked = [f"--{k} {v}" for k, v in asdict(settings).items() if v != getattr(usual, k)]
        asked += [f"--second {second.name}"] if second else []
        command = " ".join([f"python -m analysis.evaluate.atlas --model {bench.name} --out FOLDER", *asked])
        args.out.mkdir(parents=True, exist_ok=True)
        with percent_bar(f"{bench.name} atlas") as progress:
            document = make_atlas(bench, args.out / "steps", settings, second, command, progress)
        text = json.dumps(document) + "\n"
        files = [args.out / f"{bench.name}{SUFFIX}", args.out / f"{bench.name}.atlas.html"]
        files[0].write_text(text)
        files[1].write_text(atlas_html(document), encoding="utf-8")
        if args.beside:
            (args.models / files[0].name).write_text(text)
        print(f"{len(document['clusters'])} clusters: {files[0]}, {files[1]}")
        if second is None:
            print("No second training was given (--second): nothing is said of stability.")
        else:
            print(f"{document['again']} of them are found again in {second.name}.")

    return resumable("analysis.evaluate.atlas", work, (UserError, ValueError, RuntimeError))


if __name__ == "__main__":
    sys.exit(main())
