// The worker that holds the model: noise -> encoder -> closed form -> decoder -> bytes.

import * as ort from "#ort";
import * as K from "./koopman";
import { fromHalf } from "./flow/mlp";
import { derivedSeed, normals } from "./noise";
import { emptyScene, type Mix, type Picture, type Question, type Scene } from "./scene";
import { unpacked, type Site } from "./site";

const PROVIDER = __PROVIDER__; // "wasm" or "webgpu", by the build
const KEPT = 48; // encoded pictures
const RESAMPLE = 19; // of the seed of another picture, as in the studio

export type ToEngine =
  | { type: "open"; base: string; site: Site; threads: number }
  | { type: "ask"; id: number; question: Question };
export type FromEngine =
  | { type: "progress"; share: number }
  | { type: "ready"; provider: string; worst: number; entries: K.Entry[] }
  | { type: "answer"; id: number; picture: Picture }
  | { type: "failed"; id: number; message: string };

/** The most recently used values of a function. */
class Kept<V> {
  private readonly map = new Map<string, V>();

  async get(key: string, make: () => Promise<V>): Promise<V> {
    const found = this.map.get(key) ?? (await make());
    this.map.delete(key);
    this.map.set(key, found);
    if (this.map.size > KEPT) this.map.delete(this.map.keys().next().value!);
    return found;
  }
}

/** Files of the site with one progress for all of them. */
class Loader {
  private done = 0;

  constructor(
    private readonly base: string,
    private readonly total: number,
    private readonly report: (share: number) => void,
  ) {}

  async load(file: string): Promise<Uint8Array<ArrayBuffer>> {
    const response = await fetch(new URL(file, this.base));
    if (!response.ok || !response.body) throw new Error(`${file} could not be loaded (${response.status}).`);
    const parts: Uint8Array[] = [];
    const reader = response.body.getReader();
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      parts.push(step.value);
      this.done += step.value.length;
      this.report(Math.min(1, this.done / this.total));
    }
    return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  }

  /** The same unpacked; a server that knows gzip may have done that already. */
  async unzip(file: string): Promise<Uint8Array<ArrayBuffer>> {
    const data = await this.load(file);
    if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
    const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  static of(base: string, site: Site, files: string[], report: (share: number) => void): Loader {
    return new Loader(base, files.reduce((sum, f) => sum + (site.files[f] ?? 0), 0), report);
  }
}

class Engine {
  private readonly encoded = new Kept<Float32Array[]>();
  private readonly noises = new Map<number, Float32Array>();
  private bandCache = new Map<string, Uint8Array[]>();
  private rankCache = new Map<string, Uint32Array[]>();

  private constructor(
    private readonly site: Site,
    readonly entries: K.Entry[],
    private readonly encoder: ort.InferenceSession,
    private readonly decoder: ort.InferenceSession,
    private readonly means: Float32Array[][], // by class, that without one first: E(x_T) over many noises
  ) {}

  static async open(base: string, site: Site, threads: number, report: (share: number) => void): Promise<Engine> {
    const kind = PROVIDER === "webgpu" ? "gpu" : "cpu";
    const files = [`runtime/${kind}.wasm.gz`, "model/encoder.onnx", "model/decoder.onnx", "model/spectrum.bin", "model/means.bin"];
    const loader = Loader.of(base, site, files, report);
    const [wasm, encoder, decoder, spectrum, means] = await Promise.all([
      loader.unzip(files[0]), ...files.slice(1).map((file) => loader.load(file)),
    ]);
    const { env } = ort;
    env.wasm.wasmBinary = wasm.buffer;
    env.wasm.wasmPaths = { mjs: new URL(`runtime/${kind}.js`, base).href };
    env.wasm.numThreads = threads;
    if (threads > 1) env.wasm.initTimeout = 20_000; // threads that do not start are given up, and one is taken
    env.wasm.proxy = false;
    env.logLevel = "error";
    const options: ort.InferenceSession.SessionOptions = {
      executionProviders: [PROVIDER], graphOptimizationLevel: "all", logSeverityLevel: 3,
    };
    // one after the other: two at once would each hold a copy of the weights while it is prepared
    const first = await ort.InferenceSession.create(encoder, options);
    const second = await ort.InferenceSession.create(decoder, options);
    return new Engine(site, Engine.spectrum(site, spectrum), first, second, Engine.means(site, means));
  }

  private static means(site: Site, bytes: Uint8Array): Float32Array[][] {
    const numbers = fromHalf(new Uint16Array(bytes.buffer));
    let at = 0;
    return Array.from({ length: site.classes.length + 1 }, () =>
      site.entries.map(({ shape }) => numbers.slice(at, (at += K.sizeOf(shape)))));
  }

  private static spectrum(site: Site, bytes: Uint8Array): K.Entry[] {
    const numbers = new Float32Array(bytes.buffer);
    let at = 0;
    const take = (n: number) => numbers.slice(at, (at += n));
    return site.entries.map(({ name, shape }) => {
      const modes = K.sizeOf(shape) / 2;
      return { name, shape, alpha: take(modes), beta: take(modes) };
    });
  }

  private noise(seed: number): Float32Array {
    let found = this.noises.get(seed);
    if (!found) {
      if (this.noises.size > KEPT) this.noises.clear();
      this.noises.set(seed, (found = normals(seed, K.sizeOf(this.site.picture))));
    }
    return found;
  }

  private told(label: number): Record<string, ort.Tensor> {
    return this.site.classes.length ? { label: new ort.Tensor("int64", BigInt64Array.of(BigInt(label)), [1]) } : {};
  }

  /** E(x) at a noise level: every skip, then the bottleneck. */
  private async encode(x: Float32Array, sigma: number, label: number): Promise<Float32Array[]> {
    const feeds = {
      x: new ort.Tensor("float32", x, [1, ...this.site.picture]),
      sigma: new ort.Tensor("float32", Float32Array.of(sigma), [1]),
      ...this.told(label),
    };
    const out = await this.encoder.run(feeds);
    const z = this.encoder.outputNames.map((name) => (out[name].data as Float32Array).slice());
    return [...z, z[z.length - 1].slice()];
  }

  async decode(z: Float32Array[], label: number): Promise<Float32Array> {
    const feeds: Record<string, ort.Tensor> = this.told(label);
    z.forEach((latent, i) => (feeds[`z${i}`] = new ort.Tensor("float32", latent, [1, ...this.entries[i].shape])));
    return (await this.decoder.run(feeds)).picture.data as Float32Array;
  }

  /** E(x_T) of a seed, or of the way between two. */
  private start(seed: number, label: number, walk: Scene["walk"] = null): Promise<Float32Array[]> {
    const { sigmaMax } = this.site.edm;
    const key = `${seed} ${label} ${walk ? `${walk.seed} ${walk.share}` : ""}`;
    return this.encoded.get(key, () => {
      const noise = walk ? K.between(this.noise(seed), this.noise(walk.seed), walk.share) : this.noise(seed);
      return this.encode(noise.map((v) => sigmaMax * v), sigmaMax, label);
    });
  }

  private moved(z: Float32Array[], from: number, to: number): Float32Array[] {
    const still = { all: 0, bottleneck: z.length - 1, none: z.length }[this.site.koopman.evolved] ?? 0;
    return z.map((latent, i) => (i < still || from === to ? latent.slice() : K.evolve(latent, this.entries[i], to - from)));
  }

  /** Latents of the reference at a time: of its own path, or of its picture noised at the edit time. */
  private async reference(mix: Mix, tau: number): Promise<Float32Array[]> {
    if (mix.encoding === "latent" && !mix.picture) return this.moved(await this.start(mix.seed, mix.label), 1, tau);
    const { edm, koopman } = this.site;
    const sigma = K.sigmaOfTau(mix.time, koopman.warp, edm);
    const whose = mix.picture ? `picture ${K.digest(mix.picture)}` : `seed ${mix.seed}`;
    const z = await this.encoded.get(`noised ${whose} ${mix.label} ${mix.time} ${mix.noise}`, async () => {
      const picture = mix.picture
        ? K.fromBytes(mix.picture)
        : await this.decode(this.moved(await this.start(mix.seed, mix.label), 1, 0), mix.label);
      const noise = this.noise(mix.noise);
      const x = picture.map((v, i) => Math.min(1, Math.max(-1, v)) + sigma * noise[i]);
      return this.encode(x, sigma, mix.label);
    });
    return this.moved(z, mix.time, tau);
  }

  private bands(edges: number[], order: K.Order): Uint8Array[] {
    if (!this.rankCache.has(order)) this.rankCache.set(order, this.entries.map((e) => K.ranks(e.alpha, order)));
    const key = `${order} ${edges}`;
    let found = this.bandCache.get(key);
    if (!found) {
      if (this.bandCache.size > 32) this.bandCache.clear();
      this.bandCache.set(key, (found = this.rankCache.get(order)!.map((rank) => K.bandsOf(rank, edges))));
    }
    return found;
  }

  /** What stands in place of what is left out, at the scene's moment; null for nothing. */
  private async instead(scene: Scene): Promise<Float32Array[] | null> {
    const { ablation, seed, label, tau } = scene;
    if (ablation === "zero") return null;
    const start = ablation === "mean" ? this.means[label + 1] : await this.start(derivedSeed(seed, RESAMPLE), label);
    return this.moved(start, 1, tau);
  }

  private async latents(scene: Scene): Promise<Float32Array[]> {
    const [, height, width] = this.site.picture;
    const z = this.moved(await this.start(scene.seed, scene.label, scene.walk), 1, scene.tau);
    const bands = this.bands(scene.edges, scene.order);
    if (scene.mix) {
      const { mix } = scene;
      const other = await this.reference(mix, scene.tau);
      const mask = K.regionMask(mix.region, height, width, mix.mask);
      z.forEach((latent, i) => {
        const [, h, w] = this.entries[i].shape;
        const region = K.pooled(mask, height, width, h, w);
        K.mix(latent, other[i], this.entries[i], bands[i], new Set(mix.bands), region, mix.ratio);
      });
    }
    if (scene.gains.every((gain) => gain === 1)) return z;
    const instead = await this.instead(scene);
    z.forEach((latent, i) => {
      if (scene.entries.length && !scene.entries.includes(i)) return;
      K.weigh(latent, this.entries[i], bands[i], scene.gains, instead && instead[i]);
    });
    return z;
  }

  private async remove(z: Float32Array[], scene: Scene, mode: NonNullable<Scene["without"]>): Promise<Float32Array[]> {
    const [, h, w] = this.entries[mode.entry].shape;
    const instead = await this.instead(scene);
    const out = z.map((latent) => latent.slice());
    const at = K.modeAt(mode.index, h * w);
    for (const i of [at, at + h * w]) out[mode.entry][i] = instead ? instead[mode.entry][i] : 0;
    return out;
  }

  async answer({ kind, scene }: Question): Promise<Picture> {
    const begin = performance.now();
    const [, height, width] = this.site.picture;
    const z = await this.latents(scene);
    let picture: Float32Array;
    let largest = 0;
    if (kind === "difference" && scene.without) {
      const whole = (await this.decode(z, scene.label)).slice();
      const without = await this.decode(await this.remove(z, scene, scene.without), scene.label);
      picture = whole.map((v, i) => v - without[i]);
      for (const v of picture) largest = Math.max(largest, Math.abs(v));
      const scale = 1 / Math.max(largest, 1e-4);
      picture = picture.map((v) => v * scale);
    } else {
      picture = await this.decode(scene.without ? await this.remove(z, scene, scene.without) : z, scene.label);
    }
    if (!picture.every(Number.isFinite)) throw new Error("The picture is not finite: bring the gains closer to 1.");
    return { rgba: K.toBytes(picture, height, width), ms: performance.now() - begin, largest };
  }

  /** Largest difference, in steps of a byte, from the picture that PyTorch made of the same seed. */
  async check(): Promise<number> {
    const { seed, label, picture } = this.site.start;
    const right = unpacked(picture);
    const { rgba } = await this.answer({ kind: "picture", scene: emptyScene(seed, label, []) });
    let worst = 0;
    for (let i = 0; i < right.length; i++) {
      worst = Math.max(worst, Math.abs(right[i] - rgba[4 * Math.floor(i / 3) + (i % 3)]));
    }
    return worst;
  }
}

const send = (message: FromEngine, transfer: Transferable[] = []) => self.postMessage(message, { transfer });
let engine: Engine | undefined;
let turn: Promise<unknown> = Promise.resolve();

async function handle(message: ToEngine): Promise<void> {
  if (message.type === "open") {
    try {
      engine = await Engine.open(message.base, message.site, message.threads, (share) => send({ type: "progress", share }));
      const worst = await engine.check();
      send({ type: "ready", provider: PROVIDER, worst, entries: engine.entries });
    } catch (e) {
      send({ type: "failed", id: -1, message: e instanceof Error ? e.message : String(e) });
    }
  } else if (message.type === "ask") {
    try {
      const picture = await engine!.answer(message.question);
      send({ type: "answer", id: message.id, picture }, [picture.rgba.buffer]);
    } catch (e) {
      send({ type: "failed", id: message.id, message: e instanceof Error ? e.message : String(e) });
    }
  }
}

self.onmessage = (event: MessageEvent<ToEngine>) => {
  turn = turn.then(() => handle(event.data)); // sessions answer one question at a time
};
