// Panel "Bands": how much of each band is kept, at all levels or at one.

import { BAND_COLOURS, bandName } from "../app";
import { button, choice, h, panel, slider, type Slider } from "../dom";
import type { Ablation } from "../scene";
import type { Room } from "./room";

const ABLATION_WORDS: [Ablation, string][] = [["mean", "their mean over noises"], ["resample", "another picture's"], ["zero", "nothing"]];

export function bands(room: Room): HTMLElement {
  const { site } = room.app;
  const list = h("div", { class: "stack" });
  let sliders: Slider[] = [];
  const fill = () => {
    const { gains } = room.scene;
    sliders = gains.map((gain, b) =>
      slider(bandName(site, b, gains.length), { min: 0, max: 2, step: 0.01 }, gain, (v) => `${Math.round(100 * v)} %`, (v) => {
        room.scene.gains[b] = v;
        room.update(false);
      }, BAND_COLOURS[b % BAND_COLOURS.length]));
    list.replaceChildren(...sliders.map((s) => s.root));
  };
  const levels: [string, string][] = [["", "all levels"], ...site.entries.map((e, i) => [String(i), `${e.name}, ${e.shape[1]} × ${e.shape[2]}`] as [string, string])];
  const level = choice("Where", levels, "", (v) => {
    room.scene.entries = v === "" ? [] : [Number(v)];
    room.update(false);
  });
  const instead = choice("In place of what goes", ABLATION_WORDS, "mean", (v) => {
    room.scene.ablation = v as Ablation;
    room.update(false);
  });
  const set = (gains: number[]) => () => {
    room.scene.gains = gains;
    room.update();
  };
  const n = site.bands.names.length;
  const first = (k: number) => Array.from({ length: n }, (_, b) => (b < k ? 1 : 0));
  const buttons = [
    ...Array.from({ length: n - 1 }, (_, k) => button(`${k ? "Without" : "Only"} ${site.bands.names[k && n - 1].toLowerCase()}`, () => {
      room.scene.edges = [...site.bands.edges];
      set(first(k + 1))();
    })),
    button("All", () => set(room.scene.gains.map(() => 1))()),
  ];
  room.onRefresh(() => {
    if (sliders.length !== room.scene.gains.length) fill();
    sliders.forEach((s, b) => s.set(room.scene.gains[b]));
    instead.input.value = room.scene.ablation;
    level.input.value = room.scene.entries.length === 1 ? String(room.scene.entries[0]) : "";
  });
  const words = site.bands.nested
    ? "Modes in the order of α. This model was trained so that the first third draws the layout, the second the shapes, the last the detail."
    : "Modes of every level, ranked by α and cut into thirds. Keep less or more of each.";
  return panel("Turn its parts down and up", h("p", { class: "hint" }, words), list, h("div", { class: "row" }, ...buttons), h("div", { class: "row" }, level.root, instead.root));
}
