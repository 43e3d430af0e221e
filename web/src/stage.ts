// A picture with its way from noise: canvas, play, time.

import type { App } from "./app";
import { button, calm, h, paint, slider, tick, type Slider } from "./dom";
import { sigmaOfTau } from "./koopman";
import type { Question, Scene } from "./scene";

const SECONDS = 4; // of the whole way

/** A canvas that shows a question's answer, the latest one. */
export class Screen {
  readonly canvas: HTMLCanvasElement;
  shown: Uint8ClampedArray<ArrayBuffer> | null = null;

  constructor(
    private readonly app: App,
    private readonly channel: string,
    label: string,
    private readonly rank = 0,
  ) {
    const [, height, width] = app.site.picture;
    this.canvas = h("canvas", { width, height, role: "img", "aria-label": label, class: "pixels" });
  }

  /** Milliseconds from the question to the picture; null where a newer question took its place. */
  async show(question: Question): Promise<number | null> {
    const begin = performance.now();
    try {
      const picture = await this.app.engine.ask(this.channel, question, this.rank);
      if (!picture) return null;
      paint(this.canvas, picture.rgba, this.app.site.picture[2]);
      this.shown = picture.rgba;
      // what is shown, for whoever drives the page by a script
      this.canvas.dataset.scene = JSON.stringify(question.scene, (_, v) => (v instanceof Uint8Array ? v.length : v));
      return performance.now() - begin;
    } catch (e) {
      this.app.say((e as Error).message);
      return null;
    }
  }
}

/** Whether pictures are shown without their pixels' edges. */
function smooth(): HTMLElement {
  const root = document.documentElement;
  const { root: label, input } = tick("Smooth", root.dataset.smooth === "yes", (on) => {
    root.dataset.smooth = on ? "yes" : "no";
    for (const other of document.querySelectorAll<HTMLInputElement>(".smooth input")) other.checked = on;
  });
  input.setAttribute("aria-label", "Smooth pictures");
  label.classList.add("smooth");
  return label;
}

export class Stage {
  readonly root: HTMLElement;
  readonly screen: Screen;
  private readonly time: Slider;
  private readonly play: HTMLButtonElement;
  private readonly note = h("span", { class: "note" });
  private timer = 0;
  private drawing = false;
  private again = false;

  /** `moved` is told when the time was moved here. */
  constructor(
    private readonly app: App,
    private readonly scene: () => Scene,
    private readonly moved: () => void,
    channel = "stage",
  ) {
    this.screen = new Screen(app, channel, "The picture");
    this.time = slider("Time", { min: 0, max: 1, step: 0.005 }, 1 - scene().tau, (v) => this.words(1 - v), (v) => {
      this.stop();
      this.move(1 - v);
    });
    this.time.input.setAttribute("aria-label", "Time from noise to picture");
    this.play = button("Play", () => (this.timer ? this.stop() : this.start()), { class: "primary play" });
    this.root = h(
      "div",
      { class: "stage" },
      h("div", { class: "frame" }, this.screen.canvas),
      h("div", { class: "transport" }, this.play, h("div", { class: "ends" }, this.time.root, h("div", { class: "poles", "aria-hidden": "true" }, h("span", {}, "noise"), h("span", {}, "picture")))),
      h("div", { class: "under" }, smooth(), this.note),
    );
  }

  private words(tau: number): string {
    const sigma = sigmaOfTau(tau, this.app.site.koopman.warp, this.app.site.edm);
    return `σ ${sigma >= 10 ? sigma.toFixed(0) : sigma.toPrecision(2)}`;
  }

  private move(tau: number): void {
    this.scene().tau = Math.round(tau * 1000) / 1000;
    this.moved();
    void this.draw();
  }

  start(): void {
    let last = performance.now();
    let at = this.scene().tau > 0 ? 1 - this.scene().tau : 0;
    this.play.textContent = "Pause";
    const step = (now: number) => {
      at += (now - last) / 1000 / (calm() ? SECONDS / 4 : SECONDS);
      last = now;
      // with reduced motion the way is shown in a few still pictures
      const shown = calm() ? Math.floor(Math.min(1, at) * 4) / 4 : Math.min(1, at);
      this.time.set(shown);
      if (Math.abs(1 - shown - this.scene().tau) > 1e-6) this.move(1 - shown);
      if (at >= 1) this.stop();
      else this.timer = requestAnimationFrame(step);
    };
    this.timer = requestAnimationFrame(step);
  }

  stop(): void {
    if (this.timer) cancelAnimationFrame(this.timer);
    this.timer = 0;
    this.play.textContent = "Play";
  }

  /** Show the scene as it is now; while one picture is on its way, only the latest state follows it. */
  async draw(): Promise<void> {
    if (!this.timer) this.time.set(1 - this.scene().tau);
    if (this.drawing) return void (this.again = true);
    this.drawing = true;
    do {
      this.again = false;
      const ms = await this.screen.show({ kind: "picture", scene: structuredClone(this.scene()) });
      if (ms !== null) this.note.textContent = `drawn here in ${Math.round(ms)} ms`;
    } while (this.again);
    this.drawing = false;
  }
}
