// The model as a diagram whose boxes are controls: noise, encoder, the levels with their eigenvalues, decoder, picture.

import { colour, crisp, h, paint } from "../dom";
import { bandsOf, ranks, sizeOf, type Entry } from "../koopman";
import { normals } from "../noise";
import { Screen } from "../stage";
import { resolved } from "../plane";
import { BAND_COLOURS } from "../app";
import type { Room } from "./room";

const POINTS = 500; // of a level that are drawn

/** `another` draws another seed; `open` shows a level in the spectrum. */
export function pipeline(room: Room, another: () => void, open: (level: number) => void): { root: HTMLElement; mark(level: number): void } {
  const { app } = room;
  const [, height, width] = app.site.picture;
  const noise = h("canvas", { width, height, class: "pixels", "aria-hidden": "true" });
  let shown = -1;
  const levels = app.site.entries.map((entry, i) => {
    const canvas = h("canvas", { "aria-hidden": "true" });
    const [c, hh] = entry.shape;
    const press = h("button", { type: "button", class: "level", title: `${entry.name}: ${c} channels of ${hh} × ${hh}`, onclick: () => open(i) },
      canvas, h("span", {}, `${hh}²`));
    press.setAttribute("aria-label", `${hh}²: spectrum of ${entry.name}, ${c} channels`);
    return { canvas, press };
  });
  const drawn = levels.map(() => "");
  const draw = () => {
    const { seed, edges, order, gains, entries } = room.scene;
    if (seed !== shown) {
      shown = seed;
      const values = normals(seed, sizeOf(app.site.picture));
      const area = height * width;
      const rgba = Uint8ClampedArray.from({ length: 4 * area }, (_, k) => (k % 4 === 3 ? 255 : 127.5 + 50 * values[(k % 4) * area + (k >> 2)]));
      paint(noise, rgba, width);
    }
    if (!app.ready) return;
    app.ready.entries.forEach((entry, i) => {
      const weights = !entries.length || entries.includes(i) ? gains : gains.map(() => 1);
      const ratio = devicePixelRatio;
      const key = JSON.stringify([edges, order, weights, levels[i].canvas.clientWidth, ratio, colour("--band-0")]);
      if (key !== drawn[i]) scatter(levels[i].canvas, entry, bandsOf(ranksOf(entry, order), edges), weights);
      drawn[i] = key;
    });
  };
  room.onRefresh(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", draw);
  const picture = room.small(new Screen(app, "pipeline", "", 1), () => ({ kind: "picture", scene: { ...room.scene, tau: 0 } }));
  picture.canvas.setAttribute("aria-hidden", "true");
  const box = (name: string, text: string, ...inside: Node[]) => h("div", { class: `box ${name}` }, ...inside, h("span", { class: "tag" }, text));
  const root = h("div", { class: "pipeline", role: "group", "aria-label": "The model, from noise to picture" },
    box("end", "noise", h("button", { type: "button", class: "thumb", "aria-label": "Draw other noise", title: "Draw other noise", onclick: another }, noise)),
    box("net", "encoder", h("b", { "aria-hidden": "true" }, "E")),
    box("modes", "modes, each × exp((τ − 1)λ)", h("div", { class: "levels" }, ...levels.map((l) => l.press))),
    box("net", "decoder", h("b", { "aria-hidden": "true" }, "D")),
    box("end", "picture", picture.canvas));
  const mark = (level: number) => levels.forEach(({ press }, i) => press.setAttribute("aria-pressed", String(i === level)));
  return { root, mark };
}

const kept = new WeakMap<Entry, Map<string, Uint32Array>>();

/** Ranks of a level's modes, computed once. */
export function ranksOf(entry: Entry, order: "alpha" | "abs"): Uint32Array {
  if (!kept.has(entry)) kept.set(entry, new Map());
  const known = kept.get(entry)!;
  if (!known.has(order)) known.set(order, ranks(entry.alpha, order));
  return known.get(order)!;
}

/** A level's eigenvalues, small: alpha to the right, beta upwards; faint where a band is turned down. */
function scatter(canvas: HTMLCanvasElement, entry: Entry, band: Uint8Array, weights: number[]): void {
  const { ctx, width, height } = crisp(canvas);
  const largest = (v: Float32Array) => v.reduce((m, x) => Math.max(m, Math.abs(x)), 0.05) * 1.08;
  const [a, b] = [largest(entry.alpha), largest(entry.beta)];
  ctx.fillStyle = colour("--line");
  ctx.fillRect(width / 2, 2, 1, height - 4);
  const colours = BAND_COLOURS.map(resolved);
  const step = Math.max(1, entry.alpha.length / POINTS);
  for (let k = 0; k < entry.alpha.length; k += step) {
    const m = Math.floor(k);
    ctx.fillStyle = colours[band[m] % colours.length];
    ctx.globalAlpha = 0.1 + 0.8 * Math.min(1, weights[band[m]] ?? 1);
    const x = (width * (entry.alpha[m] / a + 1)) / 2;
    for (const sign of [1, -1]) ctx.fillRect(x - 0.8, (height * (1 - (sign * entry.beta[m]) / b)) / 2 - 0.8, 1.6, 1.6);
  }
  ctx.globalAlpha = 1;
}
