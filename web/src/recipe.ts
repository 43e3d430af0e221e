// Recipes: what is shown, as the JSON that the studio in Python writes and opens, and the other way round.

import { BRIDGES, PATHS, SAMPLERS, type PathName, type SamplerName, type Setting } from "./flow/forms";
import { REGIONS, type Region } from "./koopman";
import { encode, pixelsOf, toBase64 } from "./png";
import { ABLATIONS, emptyScene, type Scene } from "./scene";
import { unpacked, type Site } from "./site";
import { DENSITIES, firstMix, firstState, type FlowState, type State } from "./state";

const MAX_BYTES = 64 * 1024;
const STEPS = 18; // of a trajectory's grid, as the studio first shows it

type Json = Record<string, unknown>;

function head(site: Site): Json {
  return { version: site.recipe, program: site.program, torch: site.torch };
}

/** The recipe of what is shown. Throws a sentence where the studio has no question for it. */
export async function toRecipe(state: State, site: Site): Promise<string> {
  if (state.page === "flow") return JSON.stringify({ ...head(site), nets: netsOf(state.flow, site), settings: flowSettings(state.flow) }, null, 1);
  const { scene } = state;
  const kept = scene.gains.every((g) => g === 1);
  if (scene.walk) throw new Error("A picture on the way between two seeds has no recipe: share its link instead.");
  if (scene.without) throw new Error("A picture without one mode has no recipe: put the mode back, or share the link.");
  const several = [scene.tau > 0, !kept, scene.mix !== null].filter(Boolean).length;
  if (several > 1) throw new Error("A recipe holds one of: an earlier moment, weighed bands, a mixture. Set the others back, or share the link.");
  const { seed, label, edges, order, ablation } = scene;
  let settings: Json = { kind: "generate", seeds: [seed], label };
  if (scene.tau > 0) settings = { kind: "trajectory", seed, label, steps: STEPS };
  if (!kept) settings = { kind: "mask_bands", seed, label, edges, gains: scene.gains, order, entries: scene.entries, ablation };
  if (scene.mix) {
    const m = scene.mix;
    const mask = m.region === "painted" ? toBase64(await encode(m.mask!, site.picture[2], 1)) : null;
    settings = {
      kind: "edit", seed, label, reference: m.picture ? "picture" : "seed", reference_seed: m.seed, reference_label: m.label,
      picture: m.picture ? toBase64(await encode(m.picture, site.picture[2], 3)) : null, encoding: m.picture ? "noise" : m.encoding, noise_seed: m.noise, tau: m.time, edges, bands: m.bands, order, ratio: m.ratio, region: m.region, mask,
    };
  }
  const teacher = settings.kind === "trajectory" ? site.teacher : null;
  return JSON.stringify({ ...head(site), model: site.name, checkpoint: site.checkpoint, teacher, settings }, null, 1);
}

function netsOf(flow: FlowState, site: Site): Record<string, string> {
  const out: Record<string, string> = {};
  for (const s of flow.settings) {
    const net = site.nets.find((n) => n.density === flow.shared.density && n.path === s.path);
    const fits = net && (net.sigma === (BRIDGES.includes(s.path) ? s.sigma0 : 0) || s.net === "shipped");
    if (s.net !== "oracle" && s.net !== "trained" && fits) out[net.name] = net.checksum;
  }
  return out;
}

function flowSettings(flow: FlowState): Json {
  if (flow.settings.some((s) => s.net === "trained")) {
    throw new Error("A net that was trained here is not in a recipe: choose the closed form, or share the link and train again.");
  }
  return { kind: "flow_2d", ...flow.shared, settings: flow.settings };
}

class Field {
  constructor(private readonly data: Json, known: readonly string[]) {
    const unknown = Object.keys(data).find((k) => !known.includes(k));
    if (unknown) throw this.wrong(unknown);
  }

  wrong(name: string): Error {
    return new Error(`This recipe cannot be used (${name.replace(/[^\w.]/g, "").slice(0, 40)}): take one that the studio or this page saved, unchanged.`);
  }

  number(name: string, low: number, high: number, whole = false): number {
    const v = this.data[name];
    if (typeof v !== "number" || !(v >= low && v <= high) || (whole && !Number.isInteger(v))) throw this.wrong(name);
    return v;
  }

  word<T extends string>(name: string, allowed: readonly T[]): T {
    if (!allowed.includes(this.data[name] as T)) throw this.wrong(name);
    return this.data[name] as T;
  }

  numbers(name: string, least: number, most: number, low: number, high: number, whole = false): number[] {
    const v = this.data[name];
    const good = (n: unknown) => typeof n === "number" && n >= low && n <= high && (!whole || Number.isInteger(n));
    if (!Array.isArray(v) || v.length < least || v.length > most || !v.every(good)) throw this.wrong(name);
    return v;
  }

  any(name: string): unknown {
    return this.data[name];
  }
}

/** The state that a recipe asks for. Throws a sentence for what cannot be opened here. */
export async function fromRecipe(text: string, site: Site): Promise<State> {
  if (text.length > MAX_BYTES) throw new Error("A recipe has at most 64 kB: take one that the studio or this page saved.");
  let data: Json;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error("This is not a recipe: choose a JSON or PNG file that the studio or this page saved.");
  }
  const settings = data?.settings as Json | undefined;
  if (typeof data !== "object" || !settings || typeof settings !== "object" || typeof settings.kind !== "string") {
    throw new Error("This is not a recipe: choose a JSON or PNG file that the studio or this page saved.");
  }
  if (data.version !== site.recipe) throw new Error("This recipe is of another version of the format: use a newer page.");
  const state = firstState(site);
  if (settings.kind === "flow_2d") return { ...state, page: "flow", flow: readFlow(data, settings, site) };
  if (data.checkpoint !== site.checkpoint) {
    throw new Error(`This recipe was made with other weights (${String(data.model).slice(0, 64)}): open it on the page of that model.`);
  }
  return { ...state, page: "explore", scene: await readScene(settings, site) };
}

async function readScene(settings: Json, site: Site): Promise<Scene> {
  const { edges } = site.bands;
  const most = site.classes.length - 1;
  const label = (f: Field, name = "label") => f.number(name, -1, most, true);
  const seed = (f: Field, name = "seed") => f.number(name, 0, site.maxSeed, true);
  if (settings.kind === "generate") {
    const f = new Field(settings, ["kind", "seeds", "label"]);
    return emptyScene(f.numbers("seeds", 1, 64, 0, site.maxSeed, true)[0], label(f), edges);
  }
  if (settings.kind === "trajectory") {
    const f = new Field(settings, ["kind", "seed", "label", "steps"]);
    return { ...emptyScene(seed(f), label(f), edges), tau: 1 };
  }
  if (settings.kind === "mask_bands") {
    const f = new Field(settings, ["kind", "seed", "label", "edges", "gains", "order", "entries", "ablation"]);
    const scene = emptyScene(seed(f), label(f), f.numbers("edges", 1, 8, 0, 1));
    scene.gains = f.numbers("gains", scene.edges.length + 1, scene.edges.length + 1, 0, 2);
    scene.order = f.word("order", ["alpha", "abs"]);
    scene.entries = f.numbers("entries", 0, 64, 0, site.entries.length - 1, true);
    scene.ablation = f.any("ablation") === undefined ? "zero" : f.word("ablation", ABLATIONS); // older ones do not say it
    return scene;
  }
  if (settings.kind !== "edit") throw new Error(`The page has no question of the kind ${String(settings.kind).slice(0, 20)}: open this recipe in the studio.`);
  const f = new Field(settings, [
    "kind", "seed", "label", "reference", "reference_seed", "reference_label", "picture", "encoding", "noise_seed", "tau", "edges", "bands", "order", "ratio", "region", "mask",
  ]);
  if (f.any("reference") === "scene" || f.any("encoding") === "ode") {
    throw new Error("Its reference is a generated scene or a state of the teacher, which this page does not have: open this recipe in the studio.");
  }
  const scene = emptyScene(seed(f), label(f), f.numbers("edges", 1, 8, 0, 1));
  scene.order = f.word("order", ["alpha", "abs"]);
  const region = f.word("region", REGIONS) as Region;
  scene.mix = {
    ...firstMix(scene),
    seed: seed(f, "reference_seed"),
    label: label(f, "reference_label"),
    bands: f.numbers("bands", 1, 9, 0, scene.edges.length, true),
    region,
    ratio: f.number("ratio", 0, 1),
    encoding: f.word("encoding", ["latent", "noise"]),
    time: f.number("tau", 0, 1),
    noise: seed(f, "noise_seed"),
  };
  if (region === "painted") scene.mix.mask = await embedded(f, "mask", 1, site);
  if (f.word("reference", ["seed", "picture"]) === "picture") {
    scene.mix.picture = await embedded(f, "picture", 3, site);
    scene.mix.encoding = f.word("encoding", ["noise"]);
  }
  return scene;
}

/** A PNG of the model's size inside a recipe. */
async function embedded(f: Field, name: string, channels: 1 | 3, site: Site): Promise<Uint8Array> {
  const text = f.any(name);
  if (typeof text !== "string") throw f.wrong(name);
  const image = await Promise.resolve().then(() => pixelsOf(new Blob([unpacked(text)], { type: "image/png" }), channels)).catch(() => null);
  if (image?.width !== site.picture[2] || image.height !== site.picture[1]) throw f.wrong(name);
  return image.pixels;
}

function readFlow(data: Json, settings: Json, site: Site): FlowState {
  const f = new Field(settings, ["kind", "density", "drawing", "seed", "points", "grid", "settings"]);
  const density = f.word("density", [...DENSITIES, "drawn"]);
  const drawing = f.any("drawing");
  const rows = Array.isArray(drawing) && drawing.every((r) => typeof r === "string" && /^[01]{2,128}$/.test(r) && r.length === drawing[0].length);
  if ((density === "drawn") !== (drawing !== null) || (drawing !== null && (!rows || drawing.length < 2 || drawing.length > 128))) throw f.wrong("drawing");
  for (const [name, checksum] of Object.entries((data.nets ?? {}) as Record<string, string>)) {
    if (site.nets.find((n) => n.name === name)?.checksum !== checksum) {
      throw new Error(`This recipe was made with another net (${name.slice(0, 64)}): open it where that net is.`);
    }
  }
  const shared = {
    density,
    drawing: drawing as string[] | null,
    seed: f.number("seed", 0, site.maxSeed, true),
    points: f.number("points", 16, 2048, true),
    grid: f.word("grid", ["uniform", "cosine"] as const),
  };
  const list = f.any("settings");
  if (!Array.isArray(list) || !list.length || list.length > 4) throw f.wrong("settings");
  const each = list.filter((s) => s !== null).map(readSetting);
  if (!each.length) throw f.wrong("settings");
  return { shared, settings: each };
}

function readSetting(data: Json): Setting {
  const f = new Field(data, ["path", "sampler", "nfe", "sigma0", "gamma1", "gamma2", "gamma3", "net"]);
  if (f.any("path") === "meanflow") throw new Error("Mean velocities take a net that this page does not have: open this recipe in the studio.");
  return {
    path: f.word<PathName>("path", PATHS),
    sampler: f.word<SamplerName>("sampler", SAMPLERS),
    nfe: f.number("nfe", 1, 50, true),
    sigma0: f.number("sigma0", 0, 2),
    gamma1: f.number("gamma1", -100, 100),
    gamma2: f.number("gamma2", -100, 100),
    gamma3: f.number("gamma3", -100, 100),
    net: f.word("net", ["auto", "oracle", "shipped"]),
  };
}
