// Panel "Mix": a second picture, of a seed or the visitor's own, whose bands come into this one, everywhere or in a region.

import { bandName } from "../app";
import { button, choice, h, panel, slider, tick, whole } from "../dom";
import { REGIONS, type Region } from "../koopman";
import { CellPainter } from "../painter";
import { pixelsOf } from "../png";
import { emptyScene, type Mix } from "../scene";
import { Screen } from "../stage";
import { enlarged, firstMix, MASK_SIDE, shrunk } from "../state";
import { classes, sentence } from "./words";
import type { Room } from "./room";

const REGION_WORDS: Record<Region, string> = {
  whole: "Whole picture",
  "lower-half": "Lower half",
  "lower-left-triangle": "Lower left triangle",
  "lower-left-quadrant": "Lower left quarter",
  painted: "What I paint",
};

export function mixture(room: Room): HTMLElement {
  const { app } = room;
  const side = app.site.picture[1];
  let idle: Mix | null = null; // what would be mixed in, while nothing is
  const mix = (): Mix => room.scene.mix ?? (idle ??= firstMix(room.scene));
  const change = (fields: Partial<Mix>, controls = true) => {
    room.scene.mix = { ...mix(), ...fields };
    room.scene.walk = null;
    room.update(controls);
  };
  /** Another second picture: mixed in where one is, else only shown. */
  const swap = (fields: Partial<Mix>) => {
    Object.assign(mix(), fields);
    room.update();
  };

  /** The picture of a reference alone: all of its bands, everywhere. */
  const alone = (m: Mix): Mix => ({ ...m, bands: room.scene.gains.map((_, b) => b), region: "whole", ratio: 1 });
  const other = room.small(new Screen(app, "reference", "The second picture", 4), () => ({
    kind: "picture", scene: { ...emptyScene(mix().seed, mix().label, room.scene.edges), tau: room.scene.tau, mix: mix().picture ? alone(mix()) : null },
  }));
  const caption = h("figcaption");
  const cards = h("div", { class: "cards" }, h("figure", {}, other.canvas, caption));
  const kept: { screen: Screen; press: HTMLButtonElement }[] = [];
  for (let b = 0; b < 9; b++) {
    const screen = room.small(new Screen(app, `mix ${b}`, "", 5), () => (b < room.scene.gains.length ? { kind: "picture", scene: { ...room.scene, walk: null, without: null, mix: { ...mix(), bands: [b] } } } : null));
    screen.canvas.setAttribute("aria-hidden", "true");
    const press = h("button", { type: "button", class: "thumb", onclick: () => {
      const same = room.scene.mix?.bands.length === 1 && room.scene.mix.bands[0] === b;
      if (!same) return change({ bands: [b] });
      idle = room.scene.mix;
      room.scene.mix = null;
      room.update();
    } }, screen.canvas);
    kept.push({ screen, press });
    cards.append(h("figure", {}, press, h("figcaption")));
  }

  const seed = whole("Its seed", 1, app.site.maxSeed, (v) => swap({ seed: v, picture: undefined }));
  const dice = button("Another", () => swap({ seed: Math.floor(Math.random() * 100000), picture: undefined }));
  const label = choice("Its class", classes(app), "-1", (v) => swap({ label: Number(v) }));
  const file = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "A picture of yours" });
  file.addEventListener("change", async () => {
    const [chosen] = file.files ?? [];
    file.value = "";
    if (!chosen) return;
    const image = await pixelsOf(chosen, 3, side).catch(() => null);
    if (!image) return app.say("This file is no picture that a browser can read: choose a PNG, JPEG or WebP.");
    change({ picture: image.pixels, encoding: "noise" });
  });
  const own = button("Your picture", () => file.click());
  const ticks = h("div", { class: "row", role: "group", "aria-label": "Which bands come from the second picture" });
  const ratio = slider("How much", { min: 0, max: 1, step: 0.01 }, 1, (v) => `${Math.round(100 * v)} %`, (v) => change({ ratio: v }, false));
  const time = slider("Read at", { min: 0, max: 1, step: 0.01 }, 0.5, (v) => `τ ${v.toFixed(2)}`, (v) => change({ time: v }, false));
  ratio.root.dataset.of = "ratio"; // for whoever drives the page by a script
  time.root.dataset.of = "time";
  const region = choice("Where", REGIONS.map((r) => [r, REGION_WORDS[r]]), "whole", (v) => {
    const painted = v === "painted" && !mix().mask ? { mask: new Uint8Array(side * side) } : {};
    change({ region: v as Region, ...painted });
  });
  const painter = new CellPainter(MASK_SIDE, 2.6, "Paint the region.", () => change({ mask: enlarged(painter.cells, side) }, false));
  const clear = button("Clear", () => {
    painter.fill(() => false);
    change({ mask: enlarged(painter.cells, side) }, false);
  });
  const canvas = h("div", { class: "beside", hidden: true }, painter.canvas, h("div", { class: "stack" }, h("p", { class: "hint" }, "Paint where the second picture may come in."), h("div", { class: "row" }, painter.eraser, clear)));
  const stop = button("Without it", () => {
    idle = room.scene.mix;
    room.scene.mix = null;
    room.update();
  });
  const more = h("div", { class: "stack", hidden: true }, ticks, ratio.root, time.root, h("div", { class: "row" }, region.root, stop), canvas);

  room.onRefresh(() => {
    const { mix: on, gains } = room.scene;
    const m = mix();
    if (!on && idle) idle.bands = idle.bands.filter((b) => b < gains.length);
    more.hidden = !on;
    seed.input.value = String(m.seed);
    label.input.value = String(m.label);
    caption.textContent = m.picture ? "yours" : `seed ${m.seed}`;
    cards.style.setProperty("--cards", String(Math.min(5, gains.length + 1)));
    kept.forEach(({ press }, b) => {
      const figure = press.parentElement!;
      figure.hidden = b >= gains.length;
      if (figure.hidden) return;
      const name = bandName(app.site, b, gains.length);
      figure.querySelector("figcaption")!.textContent = `its ${sentence(name)}`;
      press.setAttribute("aria-label", `Mix in: ${name}`);
      press.setAttribute("aria-pressed", String(on?.bands.includes(b) ?? false));
    });
    if (!on) return;
    ratio.set(on.ratio);
    time.set(on.time);
    time.root.hidden = on.encoding !== "noise";
    region.input.value = on.region;
    canvas.hidden = on.region !== "painted";
    if (on.mask) painter.set(shrunk(on.mask, side));
    ticks.replaceChildren(...gains.map((_, b) =>
      tick(bandName(app.site, b, gains.length), on.bands.includes(b), (v) => {
        const bands = v ? [...on.bands, b].sort() : on.bands.filter((x) => x !== b);
        change({ bands: bands.length ? bands : [b] });
      }).root));
  });
  return panel("Mix in a second picture", h("p", { class: "hint" }, "The same picture with one band of another one. Click what you want."), cards,
    h("div", { class: "row" }, seed.root, app.site.classes.length ? label.root : null, dice, own, file), more);
}
