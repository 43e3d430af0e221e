// Everything the page shows as text behind the # of its address, so that a link shows the same.

import { BRIDGES, PATHS, SAMPLERS, type PathName, type SamplerName, type Setting, type Shared } from "./flow/forms";
import { REGIONS, sizeOf, type Region } from "./koopman";
import { toBase64 } from "./png";
import { ABLATIONS, emptyScene, type Ablation, type Mix, type Scene } from "./scene";
import { unpacked, type Site } from "./site";

export type Page = "explore" | "flow" | "lessons";
export interface FlowState {
  shared: Shared;
  settings: Setting[];
}
export interface State {
  page: Page;
  scene: Scene;
  flow: FlowState;
  lesson: number;
}

export const MASK_SIDE = 32; // cells of the painted region
export const DRAWING_SIDE = 24;
export const DENSITIES = ["8gaussians", "checkerboard", "moons", "spirals", "pinwheel"];

export function firstSetting(): Setting {
  return { path: "otcfm", sampler: "euler", nfe: 5, sigma0: 0.2, gamma1: 0.5, gamma2: 0, gamma3: 0, net: "auto" };
}

export function firstState(site: Site): State {
  return {
    page: "explore",
    scene: emptyScene(site.start.seed, site.start.label, [...site.bands.edges]),
    flow: {
      shared: { density: "8gaussians", drawing: null, seed: 0, points: 512, grid: "uniform" },
      settings: [firstSetting(), { ...firstSetting(), path: "idff", sampler: "multistep" }],
    },
    lesson: 0,
  };
}

export function firstMix(scene: Scene): Mix {
  return {
    seed: scene.seed === 1 ? 3 : 1, label: scene.label, bands: [0], region: "whole", ratio: 1, encoding: "latent", time: 0.5, noise: 0,
  };
}

/** Base64 with the two signs that an address keeps. */
function webSafe(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromWebSafe(text: string): Uint8Array {
  return unpacked(text.replaceAll("-", "+").replaceAll("_", "/"));
}

function packed(bits: ArrayLike<number>): string {
  const byte = (i: number) => Array.from({ length: 8 }, (_, k) => Number(Boolean(bits[8 * i + k]))).reduce((a, b) => 2 * a + b, 0);
  return webSafe(Uint8Array.from({ length: Math.ceil(bits.length / 8) }, (_, i) => byte(i)));
}

function unpackedBits(text: string, n: number): number[] {
  const bits: number[] = [];
  for (const byte of fromWebSafe(text)) for (let k = 7; k >= 0; k--) bits.push((byte >> k) & 1);
  if (bits.length < n) throw new Error("short");
  return bits.slice(0, n);
}

/** A mask of MASK_SIDE cells a side at the picture's size, and back. */
export function enlarged(cells: ArrayLike<number>, side: number): Uint8Array {
  const out = new Uint8Array(side * side);
  for (let i = 0; i < out.length; i++) {
    const [y, x] = [Math.floor(i / side), i % side];
    const cell = Math.floor((y * MASK_SIDE) / side) * MASK_SIDE + Math.floor((x * MASK_SIDE) / side);
    out[i] = cells[cell] ? 255 : 0;
  }
  return out;
}

export function shrunk(mask: Uint8Array, side: number): Uint8Array {
  return Uint8Array.from({ length: MASK_SIDE * MASK_SIDE }, (_, c) => {
    const [y, x] = [Math.floor(c / MASK_SIDE), c % MASK_SIDE];
    return mask[Math.floor(((y + 0.5) * side) / MASK_SIDE) * side + Math.floor(((x + 0.5) * side) / MASK_SIDE)] >= 128 ? 1 : 0;
  });
}

const short = (v: number) => String(Math.round(v * 10000) / 10000);

export function toHash(state: State, site: Site): string {
  const q = new URLSearchParams();
  const { scene, flow } = state;
  if (state.page === "explore") {
    q.set("seed", String(scene.seed));
    if (scene.label >= 0) q.set("class", String(scene.label));
    if (scene.tau > 0) q.set("tau", short(scene.tau));
    if (scene.gains.some((g) => g !== 1)) q.set("keep", scene.gains.map(short).join(","));
    if (String(scene.edges) !== String(site.bands.edges)) q.set("edges", scene.edges.map(short).join(","));
    if (scene.order !== "alpha") q.set("order", scene.order);
    if (scene.ablation !== "mean") q.set("instead", scene.ablation);
    if (scene.entries.length) q.set("levels", scene.entries.join(","));
    if (scene.walk) q.set("walk", `${scene.walk.seed},${short(scene.walk.share)}`);
    if (scene.without) q.set("mode", `${scene.without.entry},${scene.without.index}`);
    if (scene.mix) {
      const m = scene.mix;
      q.set("mix", [m.seed, m.label, m.bands.join("."), m.region, short(m.ratio), m.encoding, short(m.time), m.noise].join(","));
      if (m.mask) q.set("mask", packed(shrunk(m.mask, site.picture[1])));
      if (m.picture) q.set("picture", webSafe(m.picture));
    }
  } else if (state.page === "flow") {
    const { density, drawing, seed, points, grid } = flow.shared;
    q.set("density", density);
    if (drawing) q.set("drawing", `${drawing.length},${drawing[0].length},${packed(Array.from(drawing.join(""), Number))}`);
    q.set("seed", String(seed));
    q.set("points", String(points));
    if (grid !== "uniform") q.set("grid", grid);
    for (const s of flow.settings) {
      q.append("set", [s.path, s.sampler, s.nfe, short(s.sigma0), s.gamma1, s.gamma2, s.gamma3, s.net].join(","));
    }
  } else if (state.lesson) q.set("lesson", String(state.lesson + 1));
  const text = q.toString().replaceAll("%2C", ",");
  return `#${state.page}${text ? `?${text}` : ""}`;
}

function clamped(text: string | null, low: number, high: number, otherwise: number): number {
  const v = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(v) ? Math.min(high, Math.max(low, v)) : otherwise;
}

function inside(text: string | null, high: number, otherwise: number): number {
  return Math.round(clamped(text, 0, high, otherwise));
}

/** The state of a hash; what it does not say, or says wrongly, is as at first. */
export function fromHash(hash: string, site: Site): State {
  const state = firstState(site);
  const [page, query = ""] = hash.replace(/^#/, "").split("?");
  if (page === "explore" || page === "flow" || page === "lessons") state.page = page;
  const q = new URLSearchParams(query);
  if (state.page === "lessons") state.lesson = Math.round(clamped(q.get("lesson"), 1, site.lessons.length, 1)) - 1;
  if (state.page === "flow") state.flow = flowOf(q, state.flow);
  if (state.page === "explore" && q.size) state.scene = sceneOf(q, state.scene, site);
  return state;
}

function sceneOf(q: URLSearchParams, first: Scene, site: Site): Scene {
  const label = (text: string | null) => Math.round(clamped(text, -1, site.classes.length - 1, -1));
  const edges = q.get("edges")?.split(",").map((v) => clamped(v, 0, 1, 0)).sort((a, b) => a - b).slice(0, 8) ?? first.edges;
  const scene = emptyScene(inside(q.get("seed"), site.maxSeed, first.seed), label(q.get("class")), edges);
  scene.tau = clamped(q.get("tau"), 0, 1, 0);
  const gains = q.get("keep")?.split(",").map((v) => clamped(v, 0, 2, 1));
  if (gains?.length === edges.length + 1) scene.gains = gains;
  if (q.get("order") === "abs") scene.order = "abs";
  const instead = q.get("instead") as Ablation;
  if (ABLATIONS.includes(instead)) scene.ablation = instead;
  const entry = (v: string) => inside(v, site.entries.length - 1, 0);
  if (q.get("levels")) scene.entries = [...new Set(q.get("levels")!.split(",").map(entry))].sort((a, b) => a - b);
  const walk = q.get("walk")?.split(",");
  if (walk) scene.walk = { seed: inside(walk[0], site.maxSeed, 1), share: clamped(walk[1] ?? null, 0, 1, 0.5) };
  const mode = q.get("mode")?.split(",");
  if (mode) {
    const at = entry(mode[0]);
    const modes = site.entries[at].shape.reduce((a, b) => a * b, 1) / 2;
    scene.without = { entry: at, index: inside(mode[1] ?? null, modes - 1, 0) };
  }
  const mix = q.get("mix")?.split(",");
  if (mix && !scene.walk) {
    const bands = [...new Set((mix[2] ?? "").split(".").map((b) => inside(b, edges.length, 0)))].sort((a, b) => a - b);
    scene.mix = {
      ...firstMix(scene),
      seed: inside(mix[0], site.maxSeed, 1),
      label: label(mix[1] ?? null),
      bands,
      region: REGIONS.includes(mix[3] as Region) ? (mix[3] as Region) : "whole",
      ratio: clamped(mix[4] ?? null, 0, 1, 1),
      encoding: mix[5] === "noise" ? "noise" : "latent",
      time: clamped(mix[6] ?? null, 0, 1, 0.5),
      noise: inside(mix[7] ?? null, site.maxSeed, 0),
    };
    if (scene.mix.region === "painted") {
      try {
        scene.mix.mask = enlarged(unpackedBits(q.get("mask") ?? "", MASK_SIDE ** 2), site.picture[1]);
      } catch {
        scene.mix.region = "whole";
      }
    }
    const own = q.get("picture");
    if (own !== null) {
      try {
        const picture = fromWebSafe(own);
        if (picture.length === sizeOf(site.picture)) Object.assign(scene.mix, { picture, encoding: "noise" });
      } catch {
        // a damaged picture: that of the seed is taken
      }
    }
  }
  return scene;
}

function flowOf(q: URLSearchParams, first: FlowState): FlowState {
  const shared = { ...first.shared };
  const density = q.get("density");
  if (density && DENSITIES.includes(density)) shared.density = density;
  const drawing = q.get("drawing")?.split(",");
  if (density === "drawn" && drawing) {
    try {
      const [rows, columns] = [inside(drawing[0], 128, 0), inside(drawing[1], 128, 0)];
      const bits = unpackedBits(drawing[2], rows * columns);
      const lines = Array.from({ length: rows }, (_, i) => bits.slice(i * columns, (i + 1) * columns).join(""));
      if (rows > 1 && columns > 1 && bits.includes(1)) Object.assign(shared, { density, drawing: lines });
    } catch {
      // a damaged drawing: the first density stays
    }
  }
  shared.seed = inside(q.get("seed"), 0xffffffff, shared.seed);
  shared.points = Math.round(clamped(q.get("points"), 16, 2048, shared.points));
  if (q.get("grid") === "cosine") shared.grid = "cosine";
  const settings = q.getAll("set").slice(0, 4).map((text) => settingOf(text.split(",")));
  return { shared, settings: settings.length ? settings : first.settings };
}

function settingOf(part: string[]): Setting {
  const s = firstSetting();
  if (PATHS.includes(part[0] as PathName)) s.path = part[0] as PathName;
  if (SAMPLERS.includes(part[1] as SamplerName)) s.sampler = part[1] as SamplerName;
  s.nfe = Math.round(clamped(part[2] ?? null, 1, 50, s.nfe));
  s.sigma0 = clamped(part[3] ?? null, BRIDGES.includes(s.path) ? 0.01 : 0, 2, s.sigma0);
  s.gamma1 = clamped(part[4] ?? null, -100, 100, s.gamma1);
  s.gamma2 = clamped(part[5] ?? null, -100, 100, 0);
  s.gamma3 = clamped(part[6] ?? null, -100, 100, 0);
  s.net = ["auto", "oracle", "shipped", "trained"].includes(part[7]) ? part[7] : "auto";
  return s;
}
