// Paths, and what a net or a closed form says of a state; formulas in docs/flow.md. t = 0 is noise, t = 1 data.

import type { Density } from "./density";
import { BRIDGES, type NetForm } from "./forms";
import { Mlp } from "./mlp";

export interface Path {
  name: string;
  sigma: number;
  bridge: boolean;
  independent: boolean;
}

export function pathOf(name: string, sigma0: number): Path {
  const bridge = BRIDGES.includes(name);
  return { name, sigma: bridge ? sigma0 : 0, bridge, independent: name === "icfm" || name === "idff" };
}

export function std(p: Path, t: number): number {
  return p.bridge ? p.sigma * Math.sqrt(t * (1 - t)) : p.sigma;
}

/** Factor of the score in the velocity. */
export function pull(p: Path, t: number): number {
  return p.bridge ? p.sigma ** 2 / 2 : p.sigma ** 2 / (1 - t);
}

/** Variance of x_t given x1 alone. */
export function noiseVariance(p: Path, t: number): number {
  return p.bridge ? (1 - t) * (1 - t + p.sigma ** 2 * t) : (1 - t) ** 2 + p.sigma ** 2;
}

export type Points = Float64Array; // x y x y ...

/** What is known of a state: some of x1, eps, velocity. */
export interface Said {
  x1?: Points;
  eps?: Points;
  velocity?: Points;
}

export interface Predictor {
  path: Path;
  predict(x: Points, t: number): Said;
  /** Gradient of the sum of all components of the score. */
  scoreSlope(x: Points, t: number): Points;
  /** Gradient of the sum of all components of `scoreSlope`. */
  scoreCurve(x: Points, t: number): Points;
  /** Derivative of the velocity where the state moves by `along` and time by 1. */
  velocitySlope(x: Points, t: number, along: Points): Points;
}

/** Derivative of a function of time alone, which is smooth and known in double precision. */
function rate(f: (t: number) => number, t: number): number {
  const h = 1e-5;
  return (f(t + h) - f(t - h)) / (2 * h);
}

/** The derivative of (x1 - x) / (1 - t) - pull score, from that of x1. */
function slopeOf(p: Path, x: Points, t: number, along: Points, x1: Points, dx1: Points): Points {
  const left = 1 - t;
  const plain = x.map((v, i) => (dx1[i] - along[i]) / left + (x1[i] - v) / left ** 2);
  if (p.sigma === 0) return plain;
  const [v0, dv0] = [noiseVariance(p, t), rate((s) => noiseVariance(p, s), t)];
  const [factor, dfactor] = [pull(p, t), rate((s) => pull(p, s), t)];
  return plain.map((v, i) => {
    const s = (t * x1[i] - x[i]) / v0;
    const ds = (x1[i] + t * dx1[i] - along[i] - s * dv0) / v0;
    return v - dfactor * s - factor * ds;
  });
}

export function scales(path: Path, dataStd: number, t: number): [number, number, number] {
  const v0 = noiseVariance(path, t);
  const variance = dataStd ** 2;
  const c = t * t * variance + v0;
  return [1 / Math.sqrt(c), (t * variance) / c, Math.sqrt((variance * v0) / c)];
}

/** Rows (c x, c y, t, cos pi k t ..., sin pi k t ...) of a net's input. */
export function features(x: ArrayLike<number>, n: number, t: (i: number) => number, scale: (i: number) => number, k: number) {
  const width = 3 + 2 * k;
  const out = new Float32Array(n * width);
  for (let i = 0; i < n; i++) {
    const at = i * width;
    const time = t(i);
    out[at] = scale(i) * x[2 * i];
    out[at + 1] = scale(i) * x[2 * i + 1];
    out[at + 2] = time;
    for (let j = 1; j <= k; j++) {
      out[at + 2 + j] = Math.cos(Math.PI * j * time);
      out[at + 2 + k + j] = Math.sin(Math.PI * j * time);
    }
  }
  return out;
}

export class Net implements Predictor {
  constructor(
    readonly form: Pick<NetForm, "predicts" | "std" | "frequencies">,
    readonly path: Path,
    readonly mlp: Mlp,
  ) {}

  predict(x: Points, t: number): Said {
    const n = x.length / 2;
    const [cin, skip, scale] = scales(this.path, this.form.std, t);
    const out = this.mlp.forward(features(x, n, () => t, () => cin, this.form.frequencies), n);
    const width = out.length / n;
    const head = (k: number, f: (v: number, i: number) => number): Points =>
      Float64Array.from(x, (_, i) => f(out[(i >> 1) * width + 2 * k + (i & 1)], i));
    if (this.form.predicts === "velocity") {
      const size = Math.sqrt(1 + this.form.std ** 2);
      return { velocity: head(0, (v) => size * v) };
    }
    const x1 = head(0, (v, i) => skip * x[i] + scale * v);
    return this.form.predicts === "x1+eps" ? { x1, eps: head(1, (v) => v) } : { x1 };
  }

  scoreSlope(x: Points, t: number): Points {
    // score = (t x1 - x) / V0 for independent ends, and -eps / std of an eps head
    const { slope, n, cin } = this.backward(x, t);
    return this.ofScore(slope, n, cin, t, 1);
  }

  scoreCurve(x: Points, t: number): Points {
    const { ones, n, cin } = this.backward(x, t);
    const inputs = 3 + 2 * this.form.frequencies;
    const moved = new Float32Array(n * inputs);
    for (let i = 0; i < n; i++) moved[i * inputs] = moved[i * inputs + 1] = cin; // along (1, 1): Hessians are symmetric
    this.mlp.tangent(moved, n);
    return this.ofScore(this.mlp.backwardTangent(ones, n), n, cin, t, 0);
  }

  /** The gradient of the sum of what the score reads of the net's output, at the net's input. */
  private backward(x: Points, t: number) {
    const n = x.length / 2;
    const [cin] = scales(this.path, this.form.std, t);
    const out = this.mlp.forward(features(x, n, () => t, () => cin, this.form.frequencies), n);
    const width = out.length / n;
    const at = this.form.predicts === "x1+eps" ? 2 : 0;
    const ones = new Float32Array(out.length);
    for (let i = 0; i < n; i++) ones[i * width + at] = ones[i * width + at + 1] = 1;
    return { slope: this.mlp.backward(ones, n), ones, n, cin };
  }

  /** From a gradient of the net to that of the score; `own` = 1 adds the part of x itself, which has no second one. */
  private ofScore(slope: Float32Array, n: number, cin: number, t: number, own: 0 | 1): Points {
    const [, skip, scale] = scales(this.path, this.form.std, t);
    const inputs = slope.length / n;
    const s = std(this.path, t);
    const v0 = noiseVariance(this.path, t);
    const size = Math.sqrt(1 + this.form.std ** 2);
    return Float64Array.from({ length: 2 * n }, (_, i) => {
      const g = cin * slope[(i >> 1) * inputs + (i & 1)];
      if (this.form.predicts === "x1+eps") return s > 0 ? -g / s : -own;
      // x1 = x + (1 - t) v on a path without noise
      if (this.form.predicts === "velocity") return (t * (own + (1 - t) * size * g) - own) / v0;
      return (t * (own * skip + scale * g) - own) / v0;
    });
  }

  velocitySlope(x: Points, t: number, along: Points): Points {
    const { path, form } = this;
    if (form.predicts === "x1+eps") throw new Error("Taylor-2 needs a net without an eps head, and this path has one: choose heun or rk4.");
    const n = x.length / 2;
    const k = form.frequencies;
    const [cin, skip, scale] = scales(path, form.std, t);
    const [dcin, dskip, dscale] = [0, 1, 2].map((i) => rate((s) => scales(path, form.std, s)[i], t));
    const out = this.mlp.forward(features(x, n, () => t, () => cin, k), n);
    const inputs = 3 + 2 * k;
    const moved = new Float32Array(n * inputs);
    for (let i = 0; i < n; i++) {
      for (const c of [0, 1]) moved[i * inputs + c] = dcin * x[2 * i + c] + cin * along[2 * i + c];
      moved[i * inputs + 2] = 1;
      for (let j = 1; j <= k; j++) {
        moved[i * inputs + 2 + j] = -Math.PI * j * Math.sin(Math.PI * j * t);
        moved[i * inputs + 2 + k + j] = Math.PI * j * Math.cos(Math.PI * j * t);
      }
    }
    const slope = this.mlp.tangent(moved, n);
    if (form.predicts === "velocity") return Float64Array.from(slope, (v) => Math.sqrt(1 + form.std ** 2) * v);
    const x1 = x.map((v, i) => skip * v + scale * out[i]);
    const dx1 = x.map((v, i) => dskip * v + skip * along[i] + dscale * out[i] + scale * slope[i]);
    return slopeOf(path, x, t, along, x1, dx1);
  }
}

export class Oracle implements Predictor {
  constructor(readonly density: Density, readonly path: Path) {}

  predict(x: Points, t: number): Said {
    const out = new Float64Array(x.length);
    const v0 = noiseVariance(this.path, t);
    for (let i = 0; i < x.length; i += 2) this.density.posterior(x[i], x[i + 1], t, v0, out.subarray(i, i + 2));
    return { x1: out };
  }

  private scoreAt(x: Points, t: number, by: number): Points {
    const at = x.map((v) => v + by);
    return score(this.path, at, t, this.predict(at, t));
  }

  // the true score is a gradient, so its Jacobian is symmetric: the derivatives along (1, 1) are what is asked for

  scoreSlope(x: Points, t: number): Points {
    const h = 1e-4;
    const [up, down] = [this.scoreAt(x, t, h), this.scoreAt(x, t, -h)];
    return up.map((v, i) => (v - down[i]) / (2 * h));
  }

  scoreCurve(x: Points, t: number): Points {
    const h = 1e-3;
    const [up, here, down] = [h, 0, -h].map((by) => this.scoreAt(x, t, by));
    return here.map((v, i) => (up[i] - 2 * v + down[i]) / h ** 2);
  }

  velocitySlope(x: Points, t: number, along: Points): Points {
    const h = 1e-5;
    const [up, down] = [h, -h].map((by) => this.predict(x.map((v, i) => v + by * along[i]), t + by).x1!);
    const dx1 = up.map((v, i) => (v - down[i]) / (2 * h));
    return slopeOf(this.path, x, t, along, this.predict(x, t).x1!, dx1);
  }
}

export function dataPrediction(x: Points, t: number, said: Said): Points {
  if (said.x1) return said.x1;
  return x.map((v, i) => v + (1 - t) * said.velocity![i]); // velocity nets are of paths without noise
}

export function score(p: Path, x: Points, t: number, said: Said): Points {
  if (said.eps && p.sigma > 0) {
    const s = std(p, t);
    return x.map((v, i) => (s > 0 ? -said.eps![i] / s : -v));
  }
  if (!p.independent) throw new Error("This path pairs noise and data: its score needs a net with an eps head.");
  const x1 = dataPrediction(x, t, said);
  const v0 = noiseVariance(p, t);
  return x.map((v, i) => (t * x1[i] - v) / v0);
}

export function velocity(p: Path, x: Points, t: number, said: Said): Points {
  if (said.velocity) return said.velocity;
  const plain = x.map((v, i) => (said.x1![i] - v) / (1 - t));
  if (p.sigma === 0) return plain;
  const s = score(p, x, t, said);
  const factor = pull(p, t);
  return plain.map((v, i) => v - factor * s[i]);
}
