// Moments of the way below the picture, and neighbouring seeds to choose from.

import { button, choice, h, panel, whole } from "../dom";
import { emptyScene } from "../scene";
import { Screen, type Stage } from "../stage";
import { classes } from "./words";
import type { Room } from "./room";

const FRAMES = 7;
const GALLERY = 8;

/** The strip and what marks the moment that is shown. */
export function moments(room: Room, stage: () => Stage): { root: HTMLElement; mark(): void } {
  const root = h("div", { class: "strip", role: "group", "aria-label": "Moments on the way from noise to picture" });
  const frames = Array.from({ length: FRAMES }, (_, k) => {
    const tau = 1 - k / (FRAMES - 1);
    const screen = room.small(new Screen(room.app, `frame ${k}`, "", 2), () => ({ kind: "picture", scene: { ...room.scene, tau } }));
    screen.canvas.setAttribute("aria-hidden", "true");
    const press = h("button", { type: "button", class: "thumb", "aria-label": `Moment ${k + 1} of ${FRAMES}`, onclick: () => {
      stage().stop();
      room.scene.tau = Math.round(tau * 1000) / 1000;
      room.update(false);
      mark();
    } }, screen.canvas);
    root.append(press);
    return { tau, press };
  });
  const mark = () => {
    const near = frames.reduce((a, b) => (Math.abs(b.tau - room.scene.tau) < Math.abs(a.tau - room.scene.tau) ? b : a));
    for (const frame of frames) frame.press.classList.toggle("here", frame === near);
  };
  room.onRefresh(mark);
  return { root, mark };
}

export function another(room: Room): void {
  room.scene.seed = Math.floor(Math.random() * 100000);
  room.update();
}

export function seeds(room: Room): HTMLElement {
  const { app } = room;
  /** Seeds shown to choose from: a row that holds the present one. */
  const pick = (i: number) => Math.min(Math.floor(room.scene.seed / GALLERY) * GALLERY, app.site.maxSeed - GALLERY + 1) + i;
  const seed = whole("Seed", room.scene.seed, app.site.maxSeed, (v) => {
    room.scene.seed = v;
    room.update();
  });
  const label = choice("Class", classes(app), String(room.scene.label), (v) => {
    room.scene.label = Number(v);
    if (room.scene.mix) room.scene.mix.label = Number(v);
    room.update();
  });
  const row = h("div", { class: "gallery", role: "group", "aria-label": "Neighbouring seeds" });
  const gallery = Array.from({ length: GALLERY }, (_, i) => {
    const screen = room.small(new Screen(app, `seed ${i}`, "", 3), () => ({ kind: "picture", scene: emptyScene(pick(i), room.scene.label, room.scene.edges) }));
    screen.canvas.setAttribute("aria-hidden", "true");
    const press = h("button", { type: "button", class: "thumb", onclick: () => {
      room.scene.seed = pick(i);
      room.update();
    } }, screen.canvas);
    row.append(press);
    return press;
  });
  room.onRefresh(() => {
    seed.input.value = String(room.scene.seed);
    label.input.value = String(room.scene.label);
    gallery.forEach((press, i) => {
      press.setAttribute("aria-label", `Seed ${pick(i)}`);
      press.title = `Seed ${pick(i)}`;
      press.classList.toggle("here", pick(i) === room.scene.seed);
    });
  });
  return panel("Start from other noise", row, h("div", { class: "row" }, seed.root, app.site.classes.length ? label.root : null, button("New seed", () => another(room))));
}
