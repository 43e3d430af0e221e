// The worker of the flow lab: shipped nets, closed forms, training.

import { derivedSeed, MAX_SEED, normals, Twister } from "../noise";
import { densityOf, drawn, type Density } from "./density";
import { Net, Oracle, pathOf, type Points, type Predictor } from "./flows";
import type { DensityForm, FromFlow, NetForm, Setting, Shared, ToFlow } from "./forms";
import { fromHalf, Mlp } from "./mlp";
import { Mmd } from "./mmd";
import { follow } from "./samplers";
import { Training } from "./train";

const MAX_POINTS = 2048; // of a question, as in the studio: seeds of points start below the last so many
const [NOISE, STEPS, MORE] = [1, 2, 4];
const CELLS = 80;
const ENOUGH = 400; // steps of a training
const PREVIEW = { points: 512, nfe: 15 };

const densities = new Map<string, { density: Density; points: Points }>();
const nets: { form: NetForm; net: Net }[] = [];
let trained: { net: Net; density: string } | null = null;
let stopped = false;
const mmds = new Map<string, Mmd>();

const send = (message: FromFlow, transfer: Transferable[] = []) => self.postMessage(message, { transfer });

function keyOf(shared: Pick<Shared, "density" | "drawing">): string {
  return shared.drawing ? shared.drawing.join("/") : shared.density;
}

function place(shared: Shared): { density: Density; points: Points } {
  const key = keyOf(shared);
  let found = densities.get(key);
  if (!found) {
    const density = drawn(shared.drawing!);
    found = { density, points: density.sample(2048, new Twister(3)) };
    densities.set(key, found);
  }
  return found;
}

function open(forms: DensityForm[], netForms: NetForm[], weights: ArrayBuffer): void {
  for (const form of forms) densities.set(form.name, { density: densityOf(form), points: Float64Array.from(form.points) });
  const numbers = fromHalf(new Uint16Array(weights));
  let at = 0;
  const take = (n: number) => numbers.slice(at, (at += n));
  for (const form of netForms) {
    const mlp = new Mlp(form.layers, form.layers.flatMap(([o, i]) => [take(o * i), take(o)]));
    const path = { ...pathOf(form.path, form.sigma), sigma: form.sigma, independent: form.independent };
    nets.push({ form, net: new Net(form, path, mlp) });
  }
}

/** What a setting calls; the same choice as the studio's. */
function predictor(shared: Shared, s: Setting): { name: string; net: Predictor } {
  const path = pathOf(s.path, s.sigma0);
  if (s.net === "trained") {
    if (!trained || trained.density !== keyOf(shared)) throw new Error("No net was trained here for this density: train one.");
    if (trained.net.path.name !== path.name || trained.net.path.sigma !== path.sigma) {
      throw new Error(`The trained net is of the path ${trained.net.path.name}: choose it, or train again.`);
    }
    return { name: "trained", net: trained.net };
  }
  const shipped = nets.find(({ form }) => form.density === shared.density && form.path === s.path);
  if (s.net !== "oracle" && shipped) {
    if (shipped.net.path.sigma === path.sigma) return { name: shipped.form.name, net: shipped.net };
    if (s.net === "shipped") throw new Error(`The net was trained with σ0 = ${shipped.net.path.sigma}: set that.`);
  }
  if (s.net === "shipped") throw new Error("No net ships for this density and path: choose the closed form.");
  if (!path.independent) throw new Error(`The path ${s.path} has no closed form, and no net ships for it here: choose another path or density.`);
  return { name: "closed form", net: new Oracle(place(shared).density, path) };
}

function noiseOf(part: number, shared: Shared, each: number): Float64Array[] {
  const first = Math.min(derivedSeed(part, shared.seed), MAX_SEED - MAX_POINTS);
  return Array.from({ length: shared.points }, (_, i) => Float64Array.from(normals(first + i, each)));
}

function joined(rows: Float64Array[], at: number): Points {
  const out = new Float64Array(2 * rows.length);
  rows.forEach((row, i) => out.set(row.subarray(2 * at, 2 * at + 2), 2 * i));
  return out;
}

function mmdOf(shared: Shared): Mmd {
  const key = keyOf(shared);
  if (!mmds.has(key)) mmds.set(key, new Mmd(place(shared).points));
  return mmds.get(key)!;
}

function check(s: Setting): void {
  if (s.sampler === "taylor2" && s.path === "sbcfm") throw new Error("Taylor-2 needs a net without an eps head, and this path has one: choose heun or rk4.");
  if (s.path !== "icfm" && s.path !== "otcfm" && !(s.sigma0 > 0)) throw new Error("On this path σ0 must be above 0.");
  if (s.sampler === "matched" && s.gamma1 < 0) throw new Error("Matched noise needs γ1 of at least 0.");
  const most = 4 / (pathOf(s.path, s.sigma0).sigma ** 2 || Infinity);
  if (s.sampler === "published" && most && s.gamma1 + s.gamma2 + s.gamma3 > most) {
    throw new Error(`The published drift has a root of 1 − (γ1 + γ2 + γ3) σ²: keep the sum of the γ below ${most.toFixed(3)}.`);
  }
}

function run(id: number, shared: Shared, setting: Setting): void {
  check(setting);
  const { name, net } = predictor(shared, setting);
  const start = joined(noiseOf(NOISE, shared, 2), 0);
  let steps: Float64Array[] | null = null;
  const draw = (k: number) => joined((steps ??= noiseOf(STEPS, shared, 2 * setting.nfe)), k);
  const { times, states, calls } = follow(net, start, setting, shared.grid, draw);
  const n = shared.points;
  const trajectories = new Float32Array(states.length * 2 * n);
  states.forEach((state, k) => trajectories.set(state, k * 2 * n));
  const mmd = mmdOf(shared);
  const data = place(shared).density.sample(n, new Twister(derivedSeed(MORE, shared.seed)));
  const end = states[states.length - 1];
  const answer = { times, trajectories, nfe: calls, net: name, mmd2: mmd.unbiased(end), floor: mmd.unbiased(data) };
  send({ type: "run", id, run: answer }, [trajectories.buffer]);
}

function contours(id: number, shared: Shared): void {
  const { density } = place(shared);
  const values = new Float32Array(CELLS * CELLS);
  const axis = (i: number) => density.extent * (-1 + (2 * i) / (CELLS - 1));
  for (let i = 0; i < CELLS; i++) {
    for (let j = 0; j < CELLS; j++) values[i * CELLS + j] = Math.exp(density.logProb(axis(j), axis(i)));
  }
  send({ type: "contours", id, contours: { cells: CELLS, extent: density.extent, values } }, [values.buffer]);
}

async function train(id: number, shared: Shared, pathName: string, sigma0: number, seconds: number): Promise<void> {
  const { density } = place(shared);
  const training = new Training(density, pathOf(pathName, sigma0), shared.seed);
  const begin = performance.now();
  const over = () => (performance.now() - begin) / 1000;
  const preview: Setting = { path: "idff", sampler: "heun", nfe: PREVIEW.nfe, sigma0, gamma1: 0, gamma2: 0, gamma3: 0, net: "" };
  const noise = joined(noiseOf(NOISE, { ...shared, points: PREVIEW.points }, 2), 0);
  stopped = false;
  let told = 0;
  for (;;) {
    const until = performance.now() + 400;
    const share = () => Math.max(training.step / ENOUGH, over() / seconds);
    while (performance.now() < until && share() < 1) training.advance(share());
    const done = stopped || share() >= 1;
    const net = training.result();
    let points: Float32Array | null = null;
    let mmd2 = NaN;
    try {
      const end = follow(net, noise, preview, "uniform", () => noise).states.at(-1)!;
      points = Float32Array.from(end);
      mmd2 = mmdOf(shared).unbiased(end);
    } catch {
      points = null; // it diverged, and may come back
    }
    if (done) trained = { net, density: keyOf(shared) };
    const losses = training.losses.slice(told);
    told = training.losses.length;
    send({ type: "trained", id, step: { step: training.step, seconds: over(), losses, points, mmd2, done } });
    if (done) return;
    await new Promise((next) => setTimeout(next)); // so that a stop is heard
  }
}

self.onmessage = async (event: MessageEvent<ToFlow>) => {
  const message = event.data;
  if (message.type === "stop") return void (stopped = true);
  if (message.type === "open") return open(message.densities, message.nets, message.weights);
  try {
    if (message.type === "run") run(message.id, message.shared, message.setting);
    else if (message.type === "contours") contours(message.id, message.shared);
    else await train(message.id, message.shared, message.path, message.sigma0, message.seconds);
  } catch (e) {
    send({ type: "failed", id: message.id, message: e instanceof Error ? e.message : String(e) });
  }
};
