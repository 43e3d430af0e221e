// Densities of the plane with exact posteriors: Gaussian mixtures, and grids of uniform cells (what a visitor draws).

import { Twister } from "../noise";
import type { DensityForm } from "./forms";

const LOG_2PI = Math.log(2 * Math.PI);

export interface Density {
  extent: number;
  std: number;
  logProb(x: number, y: number): number;
  /** E[x1 | t x1 + sqrt(v0) n = (x, y)] into out[0], out[1]. */
  posterior(x: number, y: number, t: number, v0: number, out: Float64Array): void;
  sample(n: number, random: Twister): Float64Array;
}

/** Two standard normal numbers. */
export function pair(random: Twister): [number, number] {
  const angle = 2 * Math.PI * random.double();
  const radius = Math.sqrt(-2 * Math.log1p(-random.double()));
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

function chosen(cumulative: Float64Array, u: number): number {
  let low = 0;
  let high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cumulative[middle] > u) high = middle;
    else low = middle + 1;
  }
  return low;
}

function summed(weights: ArrayLike<number>): Float64Array {
  const out = new Float64Array(weights.length);
  let total = 0;
  for (let i = 0; i < weights.length; i++) out[i] = total += weights[i];
  return out.map((v) => v / total);
}

export class Mixture implements Density {
  readonly extent: number;
  readonly std: number;
  private readonly terms: Float64Array;
  private readonly cumulative: Float64Array;

  constructor(private readonly form: DensityForm) {
    this.extent = form.extent;
    this.std = form.std;
    this.terms = new Float64Array(form.means!.length);
    this.cumulative = summed(form.weights!);
  }

  logProb(x: number, y: number): number {
    return this.joint(x, y, 1, 0);
  }

  /** Fills `terms` with log w_k N(x; t m_k, c_k); returns the log of their sum. */
  private joint(x: number, y: number, t: number, v0: number): number {
    const { means, stds, weights } = this.form as Required<DensityForm>;
    let top = -Infinity;
    for (let k = 0; k < means.length; k++) {
      const c = t * t * stds[k] * stds[k] + v0;
      const squared = (x - t * means[k][0]) ** 2 + (y - t * means[k][1]) ** 2;
      this.terms[k] = Math.log(weights[k]) - 0.5 * (squared / c + 2 * (Math.log(c) + LOG_2PI));
      top = Math.max(top, this.terms[k]);
    }
    let sum = 0;
    for (const term of this.terms) sum += Math.exp(term - top);
    return top + Math.log(sum);
  }

  posterior(x: number, y: number, t: number, v0: number, out: Float64Array): void {
    const { means, stds } = this.form as Required<DensityForm>;
    const whole = this.joint(x, y, t, v0);
    let a = 0;
    let b = 0;
    for (let k = 0; k < means.length; k++) {
      const r = Math.exp(this.terms[k] - whole);
      const gain = (t * stds[k] * stds[k]) / (t * t * stds[k] * stds[k] + v0);
      a += r * (means[k][0] + gain * (x - t * means[k][0]));
      b += r * (means[k][1] + gain * (y - t * means[k][1]));
    }
    out[0] = a;
    out[1] = b;
  }

  sample(n: number, random: Twister): Float64Array {
    const { means, stds } = this.form as Required<DensityForm>;
    const out = new Float64Array(2 * n);
    for (let i = 0; i < n; i++) {
      const k = chosen(this.cumulative, random.double());
      const [a, b] = pair(random);
      out[2 * i] = means[k][0] + stds[k] * a;
      out[2 * i + 1] = means[k][1] + stds[k] * b;
    }
    return out;
  }
}

/** log of the standard normal distribution function. */
export function logNdtr(x: number): number {
  if (x < -2.5) {
    const a = -x;
    let fraction = a;
    for (let k = 40; k > 0; k--) fraction = a + k / fraction; // Laplace's continued fraction of Mills' ratio
    return -0.5 * (x * x + LOG_2PI) - Math.log(fraction);
  }
  if (x > 2.5) return Math.log1p(-Math.exp(logNdtr(-x)));
  let term = x;
  let sum = x;
  for (let n = 1; n < 60; n++) sum += term *= (x * x) / (2 * n + 1);
  return Math.log(0.5 + sum * Math.exp(-0.5 * (x * x + LOG_2PI)));
}

/** y uniform on [low, high], x = t y + sqrt(v0) n: log evidence of x, and E[y | x]; docs/flow.md. */
export function uniformPosterior(x: number, t: number, v0: number, low: number, high: number): [number, number] {
  const middle = (low + high) / 2;
  const length = high - low;
  const root = Math.sqrt(v0);
  const z = (x - t * middle) / root;
  const w = (t * length) / root;
  if (w * (1 + Math.abs(z)) < 0.03) {
    const share = ((z * z - 1) * w * w) / 24 + ((z ** 4 - 6 * z * z + 3) * w ** 4) / 1920;
    const tilt = ((z * w) / 12 + ((z ** 3 - 3 * z) * w ** 3) / 480) / (1 + share);
    const evidence = -0.5 * (z * z + LOG_2PI) + Math.log1p(share) - Math.log(root);
    return [evidence, middle + length * tilt];
  }
  const flip = z > 0 ? -1 : 1; // the difference is taken in the lower tail
  const upper = flip * z + w / 2;
  const lower = flip * z - w / 2;
  const top = logNdtr(upper);
  const mass = top + Math.log1p(-Math.exp(logNdtr(lower) - top));
  const at = (u: number) => Math.exp(-0.5 * (u * u + LOG_2PI) - mass);
  const mean = (x + root * flip * (at(upper) - at(lower))) / t;
  return [mass - Math.log(w) - Math.log(root), Math.min(high, Math.max(low, mean))];
}

export class Grid implements Density {
  readonly extent: number;
  readonly std: number;
  private readonly rows: number;
  private readonly columns: number;
  private readonly cells: Float64Array; // row 0 at the bottom, sum 1
  private readonly cumulative: Float64Array;

  /** Cells with row 0 at the top, on [-side, side]^2. */
  constructor(cells: readonly (readonly number[])[], private readonly side: number, extent: number) {
    this.extent = extent;
    this.rows = cells.length;
    this.columns = cells[0].length;
    const flat = [...cells].reverse().flat();
    const total = flat.reduce((a, b) => a + b, 0);
    if (!(total > 0)) throw new Error("Nothing is drawn: paint where the points shall be.");
    this.cells = Float64Array.from(flat, (v) => v / total);
    this.cumulative = summed(this.cells);
    this.std = this.spread();
  }

  private edge(i: number, n: number): number {
    return this.side * (-1 + (2 * i) / n);
  }

  private spread(): number {
    let total = 0;
    for (const axis of [0, 1]) {
      const n = axis ? this.rows : this.columns;
      let mean = 0;
      let squares = 0;
      this.cells.forEach((weight, k) => {
        const i = axis ? Math.floor(k / this.columns) : k % this.columns;
        const low = this.edge(i, n);
        const high = this.edge(i + 1, n);
        mean += (weight * (low + high)) / 2;
        squares += (weight * (low * low + low * high + high * high)) / 3;
      });
      total += squares - mean * mean;
    }
    return Math.sqrt(total / 2);
  }

  logProb(x: number, y: number): number {
    const j = Math.floor(((x / this.side + 1) / 2) * this.columns);
    const i = Math.floor(((y / this.side + 1) / 2) * this.rows);
    if (i < 0 || j < 0 || i >= this.rows || j >= this.columns) return -Infinity;
    return Math.log(this.cells[i * this.columns + j]) - Math.log((4 * this.side ** 2) / this.cells.length);
  }

  posterior(x: number, y: number, t: number, v0: number, out: Float64Array): void {
    const axis = (v: number, n: number) =>
      Array.from({ length: n }, (_, i) => uniformPosterior(v, t, v0, this.edge(i, n), this.edge(i + 1, n)));
    const across = axis(x, this.columns);
    const up = axis(y, this.rows);
    let top = -Infinity;
    this.cells.forEach((weight, k) => {
      if (weight > 0) top = Math.max(top, up[Math.floor(k / this.columns)][0] + across[k % this.columns][0]);
    });
    let sum = 0;
    out[0] = out[1] = 0;
    this.cells.forEach((weight, k) => {
      if (weight === 0) return;
      const [row, column] = [up[Math.floor(k / this.columns)], across[k % this.columns]];
      const r = weight * Math.exp(row[0] + column[0] - top);
      sum += r;
      out[0] += r * column[1];
      out[1] += r * row[1];
    });
    out[0] /= sum;
    out[1] /= sum;
  }

  sample(n: number, random: Twister): Float64Array {
    const out = new Float64Array(2 * n);
    for (let i = 0; i < n; i++) {
      const k = chosen(this.cumulative, random.double());
      out[2 * i] = this.edge((k % this.columns) + random.double(), this.columns);
      out[2 * i + 1] = this.edge(Math.floor(k / this.columns) + random.double(), this.rows);
    }
    return out;
  }
}

export const DRAWN_SIDE = 4;

export function drawn(rows: string[]): Grid {
  return new Grid(rows.map((row) => Array.from(row, Number)), DRAWN_SIDE, 1.25 * DRAWN_SIDE);
}

export function densityOf(form: DensityForm): Density {
  return form.cells ? new Grid(form.cells, form.side!, form.extent) : new Mixture(form);
}
