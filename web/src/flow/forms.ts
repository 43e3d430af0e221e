// What the exporter writes of densities and nets, and what the page asks the flow worker.

export interface DensityForm {
  name: string;
  extent: number; // half the side of a square that holds nearly all of it
  std: number;
  means?: number[][];
  stds?: number[];
  weights?: number[];
  cells?: number[][]; // row 0 at the top
  side?: number; // the cells cover [-side, side]^2
  points: number[]; // held out, x y x y ...
}

export interface NetForm {
  name: string;
  density: string;
  path: string;
  sigma: number;
  independent: boolean;
  predicts: "x1" | "velocity" | "x1+eps";
  std: number;
  frequencies: number;
  layers: [number, number][];
}

export const PATHS = ["icfm", "otcfm", "sbcfm", "idff"] as const;
export const SAMPLERS = ["euler", "heun", "rk4", "rk4p", "taylor2", "multistep", "published", "momentum", "matched", "bridge"] as const;
export type PathName = (typeof PATHS)[number];
export type SamplerName = (typeof SAMPLERS)[number];
export const BRIDGES: readonly string[] = ["sbcfm", "idff"];
export const READS_GAMMA: readonly string[] = ["published", "momentum", "matched"];

/** One setting; fields as in the studio's recipe. */
export interface Setting {
  path: PathName;
  sampler: SamplerName;
  nfe: number;
  sigma0: number;
  gamma1: number;
  gamma2: number;
  gamma3: number;
  net: string; // "auto", "oracle", "shipped" or "trained"
}

export interface Shared {
  density: string; // a name, or "drawn"
  drawing: string[] | null; // rows of 0 and 1, the top first
  seed: number;
  points: number;
  grid: "uniform" | "cosine";
}

export interface Run {
  times: number[];
  trajectories: Float32Array; // (N + 1, n, 2)
  nfe: number;
  net: string;
  mmd2: number;
  floor: number;
}

export interface Contours {
  cells: number; // a side
  extent: number;
  values: Float32Array; // row = y growing
}

export interface TrainedStep {
  step: number;
  seconds: number;
  losses: number[];
  points: Float32Array | null; // preview (n, 2)
  mmd2: number;
  done: boolean;
}

export type ToFlow =
  | { type: "open"; densities: DensityForm[]; nets: NetForm[]; weights: ArrayBuffer }
  | { type: "run"; id: number; shared: Shared; setting: Setting }
  | { type: "contours"; id: number; shared: Shared }
  | { type: "train"; id: number; shared: Shared; path: PathName; sigma0: number; seconds: number }
  | { type: "stop" };
export type FromFlow =
  | { type: "run"; id: number; run: Run }
  | { type: "contours"; id: number; contours: Contours }
  | { type: "trained"; id: number; step: TrainedStep }
  | { type: "failed"; id: number; message: string };
