// Paths, what a net says of a state, drifts and samplers; formulas in docs/flow.md. t = 0 is noise, t = 1 data.

import type { Density } from "./density";
import { BRIDGES, type NetForm, type Setting } from "./forms";
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

/** What is known of a state: some of x1, eps, velocity; and the gradient of the sum of the score, where asked for. */
export interface Said {
  x1?: Points;
  eps?: Points;
  velocity?: Points;
}

export interface Predictor {
  path: Path;
  predict(x: Points, t: number): Said;
  /** Gradient of the sum of all components of the score, of the last state that was asked. */
  scoreSlope(x: Points, t: number): Points;
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
    const n = x.length / 2;
    const [cin, skip, scale] = scales(this.path, this.form.std, t);
    const out = this.mlp.forward(features(x, n, () => t, () => cin, this.form.frequencies), n);
    const width = out.length / n;
    const ones = new Float32Array(out.length);
    const eps = this.form.predicts === "x1+eps";
    for (let i = 0; i < n; i++) ones[i * width + (eps ? 2 : 0)] = ones[i * width + (eps ? 3 : 1)] = 1;
    const slope = this.mlp.backward(ones, n);
    const inputs = slope.length / n;
    const s = std(this.path, t);
    const v0 = noiseVariance(this.path, t);
    return x.map((_, i) => {
      const g = cin * slope[(i >> 1) * inputs + (i & 1)];
      if (eps) return s > 0 ? -g / s : -1;
      if (this.form.predicts === "velocity") {
        const size = Math.sqrt(1 + this.form.std ** 2); // x1 = x + (1 - t) v on a path without noise
        return (t * (1 + (1 - t) * size * g) - 1) / v0;
      }
      return (t * (skip + scale * g) - 1) / v0;
    });
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

  scoreSlope(x: Points, t: number): Points {
    // the true score is a gradient, so its Jacobian is symmetric: the derivative along (1, 1) is what is asked for
    const h = 1e-4;
    const s = (by: number) => {
      const at = x.map((v) => v + by);
      return score(this.path, at, t, this.predict(at, t));
    };
    const [up, down] = [s(h), s(-h)];
    return up.map((v, i) => (v - down[i]) / (2 * h));
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

const ROWS: Record<string, [number[][], number[]]> = {
  euler: [[], [1]],
  midpoint: [[[0.5]], [0, 1]],
  ralston: [[[0.5], [0, 0.75]], [2 / 9, 1 / 3, 4 / 9]],
  heun: [[[1]], [0.5, 0.5]],
  rk4: [[[0.5], [0, 0.5], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]],
};

/** Which rule each step takes, so that exactly `nfe` calls are spent. */
export function plan(sampler: string, nfe: number): string[] {
  const repeat = (name: string, n: number) => new Array<string>(n).fill(name);
  if (sampler === "heun") {
    return [...repeat("heun", Math.floor((nfe - 1) / 2)), (nfe - 1) % 2 ? "midpoint" : "euler"];
  }
  if (sampler === "rk4") {
    const ends = [["euler"], ["midpoint"], ["ralston"], ["midpoint", "midpoint"]];
    return [...repeat("rk4", Math.floor((nfe - 1) / 4)), ...ends[(nfe - 1) % 4]];
  }
  return repeat("euler", nfe);
}

export function gridOf(kind: "uniform" | "cosine", steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, k) => (kind === "cosine" ? (1 - Math.cos((Math.PI * k) / steps)) / 2 : k / steps));
}

const LIMIT = 1e4;

function momentum(f: Predictor, x: Points, t: number, said: Said, gammas: number[]): Points {
  const p = f.path;
  const s = std(p, t);
  const weights = [gammas[0] - 0.5, ...gammas.slice(1)];
  while (weights.length && weights[weights.length - 1] === 0) weights.pop();
  if (!weights.length || s === 0) return new Float64Array(x.length);
  if (weights.length > 2) throw new Error("γ3 needs third derivatives of the net, which the studio takes: set it to 0.");
  const first = score(p, x, t, said);
  const second = weights.length > 1 ? f.scoreSlope(x, t) : null;
  return x.map((_, i) => s * s * (weights[0] * first[i] + (second ? weights[1] * second[i] : 0)));
}

export interface Followed {
  times: number[];
  states: Points[];
  calls: number;
}

/** Run the sampler of a setting from its noise; `draw` gives the noise of a step. */
export function follow(f: Predictor, x: Points, s: Setting, grid: "uniform" | "cosine", draw: (step: number) => Points): Followed {
  const p = f.path;
  const rules = plan(s.sampler, s.nfe);
  const times = gridOf(grid, rules.length);
  const states = [x];
  let calls = 0;
  const ask = (at: Points, t: number) => (calls++, f.predict(at, t));
  const gammas = [s.gamma1, s.gamma2, s.gamma3];
  const last: Points[] = [];
  const deviation = times.map((t) => (p.independent ? Math.sqrt(noiseVariance(p, t)) : 1 - t));
  const lambda = times.map((t, i) => (t > 0 && deviation[i] > 0 ? Math.log(t / deviation[i]) : NaN));

  const drift = (at: Points, t: number): Points => {
    const said = ask(at, t);
    if (s.sampler === "published") {
      const x1 = dataPrediction(at, t, said);
      const push = momentum(f, at, t, said, gammas);
      const factor = Math.sqrt(Math.max(0, 1 - (gammas[0] + gammas[1] + gammas[2]) * std(p, t) ** 2)) / (1 - t);
      return at.map((v, i) => factor * (x1[i] - v) + push[i]);
    }
    if (s.sampler === "bridge") {
      const x1 = dataPrediction(at, t, said);
      return at.map((v, i) => (x1[i] - v) / (1 - t));
    }
    const v = velocity(p, at, t, said);
    if (s.sampler === "momentum") {
      const push = momentum(f, at, t, said, gammas);
      return v.map((w, i) => w + push[i]);
    }
    if (s.sampler === "matched" && s.gamma1) {
      const eta = s.gamma1 * std(p, t) ** 2;
      const grad = score(p, at, t, said);
      return v.map((w, i) => w + eta * grad[i]);
    }
    return v;
  };

  for (let k = 0; k < rules.length; k++) {
    const t = times[k];
    const h = times[k + 1] - t;
    if (s.sampler === "multistep") {
      const x1 = dataPrediction(x, t, ask(x, t));
      let target = x1;
      if (k >= 2 && k < s.nfe - 1) {
        const ahead = (lambda[k + 1] - lambda[k]) / (2 * (lambda[k] - lambda[k - 1]));
        target = x1.map((v, i) => v + ahead * (v - last[0][i]));
      }
      last[0] = x1;
      const keep = deviation[k + 1] / deviation[k];
      x = x.map((v, i) => keep * v + (t + h - keep * t) * target[i]);
    } else {
      const [rows, weights] = ROWS[rules[k]];
      const slopes = [drift(x, t)];
      for (const row of rows) {
        const at = x.map((v, i) => v + h * row.reduce((sum, a, j) => sum + (a ? a * slopes[j][i] : 0), 0));
        slopes.push(drift(at, t + row.reduce((a, b) => a + b, 0) * h));
      }
      x = x.map((v, i) => v + h * weights.reduce((sum, b, j) => sum + (b ? b * slopes[j][i] : 0), 0));
      if (s.sampler === "matched" || s.sampler === "bridge") {
        const left = 1 - t - h;
        if (left > 1e-12) {
          const exact = s.sampler === "bridge" && p.bridge;
          const eta = s.sampler === "bridge" ? pull(p, t) : s.gamma1 * std(p, t) ** 2;
          const size = Math.sqrt(2 * eta * h * (exact ? left / (1 - t) : 1));
          if (size) {
            const noise = draw(k);
            x = x.map((v, i) => v + size * noise[i]);
          }
        }
      }
    }
    if (!x.every((v) => Math.abs(v) <= LIMIT)) {
      throw new Error(`The samples diverged in step ${k + 1} of ${rules.length}: lower γ or σ0, or use more network calls.`);
    }
    states.push(x);
  }
  return { times, states, calls };
}

/** Unbiased squared MMD with the kernel exp(-d^2 / 2). */
export class Mmd {
  private readonly own: number;

  constructor(private readonly reference: ArrayLike<number>) {
    this.own = this.within(reference);
  }

  private sum(x: ArrayLike<number>, y: ArrayLike<number>): number {
    let total = 0;
    for (let i = 0; i < x.length; i += 2) {
      for (let j = 0; j < y.length; j += 2) {
        const d = (x[i] - y[j]) ** 2 + (x[i + 1] - y[j + 1]) ** 2;
        if (d < 70) total += Math.exp(-0.5 * d);
      }
    }
    return total;
  }

  private within(x: ArrayLike<number>): number {
    const n = x.length / 2;
    return (this.sum(x, x) - n) / (n * (n - 1));
  }

  unbiased(x: ArrayLike<number>): number {
    const cross = this.sum(x, this.reference) / ((x.length / 2) * (this.reference.length / 2));
    return this.within(x) + this.own - 2 * cross;
  }
}
