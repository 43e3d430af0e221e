// What lies between encoder and decoder: eigenvalues, their closed form, bands, regions and mixtures of latents.

export type Shape = [number, number, number];

export interface Entry {
  name: string;
  shape: Shape; // channels, height, width
  alpha: Float32Array; // (C/2, h, w)
  beta: Float32Array;
}

export interface Edm {
  sigmaMin: number;
  sigmaMax: number;
  rho: number;
}

export const REGIONS = ["whole", "lower-half", "lower-left-triangle", "lower-left-quadrant", "painted"] as const;
export type Region = (typeof REGIONS)[number];
export type Order = "alpha" | "abs";

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function warped(name: string, rho: number): [(s: number) => number, (v: number) => number] {
  if (name === "log") return [Math.log, Math.exp];
  if (name === "sigma") return [(s) => s, (v) => v];
  return [(s) => s ** (1 / rho), (v) => v ** rho];
}

/** Koopman time in [0, 1] of a noise level: 0 at sigma_min, 1 at sigma_max. */
export function tauOfSigma(sigma: number, warp: string, edm: Edm): number {
  const g = warped(warp, edm.rho)[0];
  const low = g(edm.sigmaMin);
  return (g(Math.min(edm.sigmaMax, Math.max(edm.sigmaMin, sigma))) - low) / (g(edm.sigmaMax) - low);
}

export function sigmaOfTau(tau: number, warp: string, edm: Edm): number {
  const [g, inverse] = warped(warp, edm.rho);
  const low = g(edm.sigmaMin);
  const sigma = inverse(low + Math.min(1, Math.max(0, tau)) * (g(edm.sigmaMax) - low));
  return Math.min(edm.sigmaMax, Math.max(edm.sigmaMin, sigma));
}

/** exp(delta A) z of one latent; channels 2k and 2k + 1 are pair k. */
export function evolve(z: Float32Array, entry: Entry, delta: number): Float32Array {
  const [c, h, w] = entry.shape;
  const area = h * w;
  const out = new Float32Array(z.length);
  for (let k = 0; k < c / 2; k++) {
    const even = 2 * k * area;
    for (let i = 0; i < area; i++) {
      const m = k * area + i;
      const growth = Math.exp(entry.alpha[m] * delta);
      const angle = entry.beta[m] * delta;
      const cos = growth * Math.cos(angle);
      const sin = growth * Math.sin(angle);
      const a = z[even + i];
      const b = z[even + area + i];
      out[even + i] = cos * a + sin * b;
      out[even + area + i] = cos * b - sin * a;
    }
  }
  return out;
}

/** Rank of every mode of one entry, 0 = smallest; equal values in the order of memory. */
export function ranks(alpha: Float32Array, order: Order): Uint32Array {
  const key = order === "abs" ? alpha.map(Math.abs) : alpha;
  const index = Array.from(key.keys()).sort((a, b) => key[a] - key[b] || a - b);
  const out = new Uint32Array(key.length);
  index.forEach((mode, rank) => (out[mode] = rank));
  return out;
}

/** Python's rounding, halves to the even number: edges cut bands at the same modes. */
function roundEven(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

/** Number of the band of every mode. */
export function bandsOf(rank: Uint32Array, edges: readonly number[]): Uint8Array {
  const cuts = edges.map((e) => roundEven(e * rank.length));
  const out = new Uint8Array(rank.length);
  for (let m = 0; m < rank.length; m++) for (const cut of cuts) if (rank[m] >= cut) out[m]++;
  return out;
}

/** gain z + (1 - gain) r of every mode, with the gain of its band, in place; without r it is 0. */
export function weigh(z: Float32Array, entry: Entry, band: Uint8Array, gains: readonly number[], r: Float32Array | null): void {
  const area = entry.shape[1] * entry.shape[2];
  for (let m = 0; m < band.length; m++) {
    const gain = gains[band[m]];
    if (gain === 1) continue;
    const at = modeAt(m, area);
    for (const i of [at, at + area]) z[i] = gain * z[i] + (r ? (1 - gain) * r[i] : 0);
  }
}

/** Place of a mode's even channel in its latent; the odd one is `area` further. */
export function modeAt(mode: number, area: number): number {
  return mode + Math.floor(mode / area) * area;
}

/** A region at the picture's size, 1 where the reference may come in. */
export function regionMask(name: Region, height: number, width: number, painted?: Uint8Array): Float32Array {
  const out = new Float32Array(height * width);
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const low = 2 * i >= height;
      let inside = name === "whole" || (name === "lower-half" && low);
      if (name === "lower-left-triangle") inside = i * (width - 1) >= j * (height - 1);
      if (name === "lower-left-quadrant") inside = low && 2 * j < width;
      out[i * width + j] = name === "painted" ? (painted ? painted[i * width + j] / 255 : 0) : Number(inside);
    }
  }
  return out;
}

/** A mask at another size by area averages, as torch's adaptive average pooling. */
export function pooled(mask: Float32Array, height: number, width: number, h: number, w: number): Float32Array {
  const out = new Float32Array(h * w);
  const span = (i: number, n: number, N: number) => [Math.floor((i * N) / n), Math.ceil(((i + 1) * N) / n)];
  for (let i = 0; i < h; i++) {
    const [top, bottom] = span(i, h, height);
    for (let j = 0; j < w; j++) {
      const [left, right] = span(j, w, width);
      let sum = 0;
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += mask[y * width + x];
      out[i * w + j] = sum / ((bottom - top) * (right - left));
    }
  }
  return out;
}

/** z + ratio G M (other - z) in place; `region` at the latent's size, bands of the modes that take part. */
export function mix(
  z: Float32Array,
  other: Float32Array,
  entry: Entry,
  band: Uint8Array,
  bands: ReadonlySet<number>,
  region: Float32Array,
  ratio: number,
): void {
  const area = entry.shape[1] * entry.shape[2];
  for (let m = 0; m < band.length; m++) {
    if (!bands.has(band[m])) continue;
    const share = ratio * region[m % area];
    const at = modeAt(m, area);
    for (const i of [at, at + area]) z[i] = share === 1 ? other[i] : z[i] + share * (other[i] - z[i]);
  }
}

/** The way between two noises at constant norm: a x + b y with a^2 + b^2 = 1 (they are nearly orthogonal). */
export function between(x: Float32Array, y: Float32Array, share: number): Float32Array {
  const angle = (share * Math.PI) / 2;
  const a = Math.cos(angle);
  const b = Math.sin(angle);
  return x.map((v, i) => a * v + b * y[i]);
}

/** Picture (3, H, W) in [-1, 1] -> RGBA bytes. */
export function toBytes(picture: Float32Array, height: number, width: number): Uint8ClampedArray<ArrayBuffer> {
  const area = height * width;
  const out = new Uint8ClampedArray(4 * area);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) out[4 * i + c] = (picture[c * area + i] + 1) * 127.5; // clamps and rounds
    out[4 * i + 3] = 255;
  }
  return out;
}

/** (H, W, 3) bytes -> picture (3, H, W) in [-1, 1]. */
export function fromBytes(rgb: Uint8Array): Float32Array {
  const area = rgb.length / 3;
  return Float32Array.from(rgb, (_, i) => rgb[3 * (i % area) + Math.floor(i / area)] / 127.5 - 1);
}

/** A number that tells pictures apart (FNV-1a). */
export function digest(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const b of bytes) hash = Math.imul(hash ^ b, 0x01000193);
  return hash >>> 0;
}
