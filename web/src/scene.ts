// What can be asked of a model: one picture with everything that was done to it.

import type { Order, Region } from "./koopman";

/** A second picture whose modes are mixed in; fields as in the studio's edit recipe. */
export interface Mix {
  seed: number;
  label: number;
  bands: number[];
  region: Region;
  ratio: number;
  encoding: "latent" | "noise";
  time: number; // edit time in [0, 1], read by "noise"
  noise: number; // seed of the noise that is added to the reference, read by "noise"
  mask?: Uint8Array; // of the region "painted", 0 to 255
  picture?: Uint8Array; // the visitor's own instead of a seed's, (H, W, 3) bytes; its encoding is "noise"
}

/** The mode that is taken away. */
export interface Mode {
  entry: number;
  index: number; // flat: pair, row, column
}

/** What stands in place of what is left out: the mean over many noises, another picture's, or nothing. */
export const ABLATIONS = ["mean", "resample", "zero"] as const;
export type Ablation = (typeof ABLATIONS)[number];

export interface Scene {
  seed: number;
  label: number;
  tau: number; // Koopman time: 1 noise, 0 picture
  edges: number[];
  gains: number[];
  order: Order;
  entries: number[]; // whose bands are weighed, [] for all
  ablation: Ablation;
  mix: Mix | null;
  walk: { seed: number; share: number } | null;
  without: Mode | null;
}

export interface Question {
  kind: "picture" | "difference"; // difference: what the mode `without` changes
  scene: Scene;
}

/** Answer of the engine: RGBA bytes of size x size, network calls, milliseconds. */
export interface Picture {
  rgba: Uint8ClampedArray<ArrayBuffer>;
  ms: number;
  largest: number; // of a difference, before it was magnified; 0 for a picture
}

export function emptyScene(seed: number, label: number, edges: number[]): Scene {
  const gains = new Array(edges.length + 1).fill(1);
  return { seed, label, tau: 0, edges, gains, order: "alpha", entries: [], ablation: "mean", mix: null, walk: null, without: null };
}
