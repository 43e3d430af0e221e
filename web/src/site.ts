// site.json: what the exporter says of the model, the nets and the lessons.

import type { Edm, Shape } from "./koopman";

export interface Lesson {
  title: string;
  words: string[];
  tab: string;
  asks: string;
  task: string;
  preset: Record<string, unknown>[];
}

export interface Site {
  name: string;
  summary: string;
  picture: Shape;
  classes: string[];
  koopman: { warp: string; evolved: string };
  edm: Edm;
  bands: { edges: number[]; names: string[]; nested: boolean };
  checkpoint: string;
  teacher: string | null;
  start: { seed: number; label: number; picture: string };
  entries: { name: string; shape: Shape }[];
  difference: { latents: number; pictures: number; half: boolean };
  nets: { name: string; density: string; path: string; sigma: number; checksum: string }[];
  linearity: { names: string[]; errors: number[] } | null;
  lessons: Lesson[];
  lessonEdges: number[];
  checks: { clear: number; near: number; untouched: number; guessed: number; front: number; faint: number; alike: number; seeds: number };
  program: string;
  torch: string;
  recipe: number;
  maxSeed: number;
  gpu: boolean;
  files: Record<string, number>;
}

/** Bytes of base64. */
export function unpacked(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}
