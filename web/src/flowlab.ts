// The flow lab: points from noise to a density of the plane, settings side by side, and a net trained here.

import type { App } from "./app";
import { Cloud } from "./cloud";
import { button, calm, choice, h, panel, slider, tick, whole } from "./dom";
import { BRIDGES, PATHS, READS_GAMMA, SAMPLERS, type PathName, type SamplerName, type Setting, type TrainedStep } from "./flow/forms";
import { CellPainter } from "./painter";
import { DENSITIES, DRAWING_SIDE, firstSetting, type FlowState } from "./state";

const SECONDS = 18; // of training at most; a fast machine needs five
const LETTERS = "ABCD";
const PATH_WORDS: Record<PathName, string> = { icfm: "I-CFM", otcfm: "OT-CFM", sbcfm: "SB-CFM", idff: "IDFF" };
const SAMPLER_WORDS: Record<SamplerName, string> = {
  euler: "Euler", heun: "Heun", rk4: "Runge-Kutta 4", rk4p: "Runge-Kutta 4, steps by calls", taylor2: "Taylor-2", multistep: "Multistep", published: "Published momentum",
  momentum: "Momentum on the exact flow", matched: "Matched noise", bridge: "Bridge with noise",
};
const NET_WORDS: [string, string][] = [["auto", "shipped, else closed form"], ["oracle", "closed form"], ["shipped", "shipped net"], ["trained", "trained here"]];
const DENSITY_WORDS: Record<string, string> = { "8gaussians": "8 Gaussians", checkerboard: "Checkerboard", moons: "Moons", spirals: "Spirals", pinwheel: "Pinwheel" };

/** One setting with its picture; also a figure of the lessons. */
export class SettingCard {
  readonly root: HTMLElement;
  readonly cloud = new Cloud();
  mmd2 = NaN;
  floor = NaN;
  private readonly facts = h("p", { class: "numbers" });
  private running = false;
  private again = false;

  constructor(
    private readonly app: App,
    private readonly flow: () => FlowState,
    private readonly at: number,
    controls: HTMLElement | null,
  ) {
    this.root = h("section", { class: "panel setting" }, h("h2", {}, LETTERS[at]), this.cloud.canvas, this.facts, controls);
  }

  get setting(): Setting {
    return this.flow().settings[this.at];
  }

  async update(): Promise<void> {
    if (this.running) return void (this.again = true);
    this.running = true;
    do {
      this.again = false;
      const shared = structuredClone(this.flow().shared);
      const setting = structuredClone(this.setting);
      if (!setting) break;
      try {
        this.cloud.setContours(await this.app.flow.contours(shared));
        const run = await this.app.flow.run(shared, setting);
        this.cloud.setRun(run);
        [this.mmd2, this.floor] = [run.mmd2, run.floor];
        const words = `${PATH_WORDS[setting.path]}, ${SAMPLER_WORDS[setting.sampler]}, ${run.nfe} network call${run.nfe > 1 ? "s" : ""}`;
        this.cloud.canvas.setAttribute("aria-label", `Points after ${words}; MMD² ${run.mmd2.toFixed(4)}`);
        this.facts.replaceChildren(h("b", {}, run.mmd2.toFixed(4).replace("-", "−")), ` MMD² (data ${run.floor.toFixed(4).replace("-", "−")}), ${run.nfe} call${run.nfe > 1 ? "s" : ""}, ${run.net}`);
        this.facts.classList.remove("wrong");
      } catch (e) {
        this.cloud.setRun(null);
        this.mmd2 = NaN;
        this.facts.textContent = (e as Error).message;
        this.facts.classList.add("wrong");
      }
    } while (this.again);
    this.running = false;
  }
}

export interface Clock {
  root: HTMLElement;
  play(): void;
}

/** Play and scrub for several clouds. */
export function clock(clouds: () => Cloud[]): Clock {
  let timer = 0;
  const set = (v: number) => clouds().forEach((c) => c.setTime(v));
  const time = slider("Time", { min: 0, max: 1, step: 0.01 }, 1, (v) => `t ${v.toFixed(2)}`, (v) => {
    stop();
    set(v);
  });
  const press = button("Play", () => (timer ? stop() : go()), { class: "primary play" });
  const stop = () => {
    cancelAnimationFrame(timer);
    timer = 0;
    press.textContent = "Play";
  };
  const go = () => {
    press.textContent = "Pause";
    let at = Number(time.input.value) >= 1 ? 0 : Number(time.input.value);
    let last = performance.now();
    const step = (now: number) => {
      at += (now - last) / 2500;
      last = now;
      const shown = calm() ? Math.floor(Math.min(1, at) * 4) / 4 : Math.min(1, at);
      time.set(shown);
      set(shown);
      if (at >= 1) stop();
      else timer = requestAnimationFrame(step);
    };
    timer = requestAnimationFrame(step);
  };
  return { root: h("div", { class: "transport" }, press, h("div", { class: "ends wide" }, time.root)), play: () => void (timer || go()) };
}

export class FlowLab {
  readonly root = h("div", { class: "lab" });
  private readonly row = h("div", { class: "settings" });
  private cards: SettingCard[] = [];
  private readonly refreshers: (() => void)[] = [];
  private readonly clock: Clock;
  private fresh = true;

  constructor(private readonly app: App) {
    this.clock = clock(() => this.cards.map((c) => c.cloud));
    this.root.append(
      h("div", { class: "intro" },
        h("h2", {}, "The same idea in the plane, where you can see it: noise flows to data, and every network call counts."),
        h("p", {}, "The grey lines are the contours of the data, each point began as noise. Fewer calls are cheaper and miss more; MMD² measures by how much.")),
      h("div", { class: "side" }, this.shared(), this.clock.root), this.row, this.training());
  }

  private get flow(): FlowState {
    return this.app.state.flow;
  }

  show(): void {
    this.build();
    this.refreshers.forEach((refresh) => refresh());
    const first = this.fresh && !calm();
    this.fresh = false;
    void Promise.all(this.update()).then(() => first && this.clock.play()); // once, when the points are there
  }

  hide(): void {
    this.app.flow.stop();
  }

  private update(): Promise<void>[] {
    this.app.changed();
    return this.cards.map((card) => card.update());
  }

  // --------------------------------------------------------------------------------------------------------------

  private shared(): HTMLElement {
    const { app } = this;
    const options = (): [string, string][] => [...DENSITIES.map((d) => [d, DENSITY_WORDS[d]] as [string, string]), ["drawn", "what I draw"]];
    const density = choice("Density", options(), "8gaussians", (v) => {
      this.flow.shared.density = v;
      this.flow.shared.drawing = v === "drawn" ? this.canvas.rows : null;
      this.show();
    });
    const seed = whole("Seed", 0, app.site.maxSeed, (v) => {
      this.flow.shared.seed = v;
      this.update();
    });
    const points = choice("Points", ["128", "256", "512", "1024", "2048"].map((n) => [n, n]), "512", (v) => {
      this.flow.shared.points = Number(v);
      this.update();
    });
    const grid = choice("Steps", [["uniform", "uniform"], ["cosine", "dense at the ends"]], "uniform", (v) => {
      this.flow.shared.grid = v as "uniform";
      this.update();
    });
    const nfe = slider("Calls of all", { min: 1, max: 50, step: 1 }, 5, (v) => String(v), (v) => {
      for (const s of this.flow.settings) s.nfe = v;
      this.show();
    });
    const paths = tick("Trajectories", true, (on) => {
      for (const card of this.cards) {
        card.cloud.paths = on;
        card.cloud.draw();
      }
    });
    const add = button("Add a setting", () => {
      this.flow.settings.push({ ...firstSetting(), ...this.flow.settings[this.flow.settings.length - 1] });
      this.show();
    });
    const less = button("Remove the last", () => {
      this.flow.settings.pop();
      this.show();
    });
    this.refreshers.push(() => {
      const { shared, settings } = this.flow;
      density.input.value = shared.density;
      seed.input.value = String(shared.seed);
      points.input.value = String(shared.points);
      if (!points.input.value) points.input.append(new Option(String(shared.points), String(shared.points), true, true));
      grid.input.value = shared.grid;
      nfe.set(settings[0].nfe);
      add.disabled = settings.length >= 4;
      less.disabled = settings.length <= 1;
    });
    return panel("For all of them", nfe.root, h("div", { class: "row" }, density.root, points.root, seed.root, grid.root), h("div", { class: "row" }, add, less, paths.root));
  }

  private build(): void {
    if (this.cards.length === this.flow.settings.length) return;
    this.cards = this.flow.settings.map((_, at) => new SettingCard(this.app, () => this.flow, at, this.controls(at)));
    this.row.replaceChildren(...this.cards.map((c) => c.root));
  }

  private controls(at: number): HTMLElement {
    const s = () => this.flow.settings[at];
    const changed = () => {
      this.app.changed();
      refresh();
      void this.cards[at].update();
    };
    const path = choice("Path", PATHS.map((p) => [p, PATH_WORDS[p]]), s().path, (v) => {
      s().path = v as PathName;
      changed();
    });
    const sampler = choice("Sampler", SAMPLERS.map((p) => [p, SAMPLER_WORDS[p]]), s().sampler, (v) => {
      s().sampler = v as SamplerName;
      changed();
    });
    const net = choice("Net", NET_WORDS, s().net, (v) => {
      s().net = v;
      changed();
    });
    const nfe = slider("Calls", { min: 1, max: 50, step: 1 }, s().nfe, String, (v) => {
      s().nfe = v;
      changed();
    });
    const sigma = slider("σ0", { min: 0.05, max: 1, step: 0.05 }, s().sigma0, (v) => v.toFixed(2), (v) => {
      s().sigma0 = v;
      changed();
    });
    const gammas = ([["γ1", "gamma1"], ["γ2", "gamma2"], ["γ3", "gamma3"]] as const).map(([name, key]) =>
      slider(name, { min: -10, max: 10, step: 0.1 }, s()[key], (v) => v.toFixed(1).replace("-", "−"), (v) => {
        s()[key] = v;
        changed();
      }));
    const refresh = () => {
      if (!s()) return;
      path.input.value = s().path;
      sampler.input.value = s().sampler;
      net.input.value = s().net;
      nfe.set(s().nfe);
      sigma.set(s().sigma0);
      sigma.root.hidden = !BRIDGES.includes(s().path);
      const read = READS_GAMMA.includes(s().sampler) ? (s().sampler === "matched" ? 1 : 3) : 0;
      ([s().gamma1, s().gamma2, s().gamma3] as const).forEach((value, k) => {
        gammas[k].set(value);
        gammas[k].root.hidden = k >= read;
      });
    };
    this.refreshers.push(refresh);
    refresh();
    return h("div", { class: "stack" }, h("div", { class: "row" }, path.root, sampler.root, net.root), nfe.root, sigma.root, ...gammas.map((g) => g.root));
  }

  // --------------------------------------------------------------------------------------------------------------
  // Drawing and training

  private readonly canvas = new Drawing(() => {
    this.flow.shared.density = "drawn";
    this.flow.shared.drawing = this.canvas.rows;
    this.show();
  });

  private training(): HTMLElement {
    const preview = new Cloud();
    preview.canvas.setAttribute("aria-label", "Points of the net in training");
    const curve = h("canvas", { class: "curve", role: "img", "aria-label": "Loss over training" });
    const facts = h("p", { class: "numbers" });
    const shown = h("div", { class: "pair", hidden: true }, preview.canvas, curve);
    let busy = false;
    const path = choice("Path", [["idff", "IDFF"], ["icfm", "I-CFM"]], "idff", () => undefined);
    const press = button("Train", () => (busy ? this.app.flow.stop() : void go()), { class: "primary" });
    const losses: number[] = [];
    const step = (s: TrainedStep) => {
      losses.push(...s.losses);
      preview.setPoints(s.points);
      drawLosses(curve, losses);
      facts.replaceChildren(h("b", {}, Number.isFinite(s.mmd2) ? s.mmd2.toFixed(4).replace("-", "−") : "–"), ` MMD², ${s.step} steps of 256 points, ${s.seconds.toFixed(0)} s`);
    };
    const go = async () => {
      busy = true;
      losses.length = 0;
      shown.hidden = false;
      press.textContent = "Stop";
      const shared = structuredClone(this.flow.shared);
      const chosen = path.input.value as PathName;
      try {
        preview.setContours(await this.app.flow.contours(shared));
        await this.app.flow.train(shared, chosen, 0.2, SECONDS, step);
        this.app.say("Trained. It is used in setting A now.");
        Object.assign(this.flow.settings[0], { path: chosen, sigma0: 0.2, net: "trained" });
        this.show();
      } catch (e) {
        this.app.say((e as Error).message);
      }
      busy = false;
      press.textContent = "Train";
    };
    this.refreshers.push(() => {
      const { drawing } = this.flow.shared;
      if (drawing) this.canvas.set(drawing);
    });
    return h("div", { class: "train" },
      panel("Draw a density", h("p", { class: "hint" }, "Paint where the points shall be."), this.canvas.root),
      panel("Train a net on it", h("p", { class: "hint" }, "A net of 9,282 numbers learns the chosen density from fresh points, in your browser."), h("div", { class: "row" }, path.root, press), facts, shown));
  }
}

function drawLosses(canvas: HTMLCanvasElement, losses: number[]): void {
  const ctx = canvas.getContext("2d")!;
  const [w, hh] = [(canvas.width = 640), (canvas.height = 640)];
  ctx.clearRect(0, 0, w, hh);
  const css = getComputedStyle(document.documentElement);
  const bins = 120;
  const size = Math.max(1, Math.ceil(losses.length / bins));
  const means: number[] = [];
  for (let i = 0; i + size <= losses.length; i += size) means.push(losses.slice(i, i + size).reduce((a, b) => a + b, 0) / size);
  if (means.length < 2) return;
  const [low, high] = [Math.min(...means), Math.max(...means)];
  ctx.strokeStyle = css.getPropertyValue("--line");
  ctx.lineWidth = 2;
  ctx.strokeRect(70, 20, w - 90, hh - 90);
  ctx.strokeStyle = css.getPropertyValue("--accent");
  ctx.lineWidth = 4;
  ctx.beginPath();
  means.forEach((v, i) => ctx.lineTo(70 + ((w - 90) * i) / (means.length - 1), 30 + ((hh - 110) * (high - v)) / (high - low || 1)));
  ctx.stroke();
  ctx.fillStyle = css.getPropertyValue("--quiet");
  ctx.font = "24px system-ui, sans-serif";
  ctx.fillText(high.toFixed(2), 6, 44);
  ctx.fillText(low.toFixed(2), 6, hh - 76);
  ctx.fillText(`loss over ${losses.length} steps`, 200, hh - 26);
}

const SHAPES: [string, (x: number, y: number) => boolean][] = [
  ["Ring", (x, y) => Math.abs(Math.hypot(x, y) - 0.65) < 0.14],
  ["Cross", (x, y) => Math.abs(x - y) < 0.16 || Math.abs(x + y) < 0.16],
  ["Two squares", (x, y) => Math.max(Math.abs(Math.abs(x) - 0.5), Math.abs(y)) < 0.28],
  ["Clear", () => false],
];

/** A density that the visitor draws; an empty one is told to nobody. */
class Drawing {
  readonly root: HTMLElement;
  private readonly painter: CellPainter;

  constructor(changed: () => void) {
    const done = () => void (this.painter.cells.includes(1) && changed());
    this.painter = new CellPainter(DRAWING_SIDE, 1.3, "Draw a density.", (whole) => whole && done());
    this.painter.fill(SHAPES[0][1]);
    const shapes = SHAPES.map(([name, inside]) => button(name, () => {
      this.painter.fill(inside);
      done();
    }));
    this.root = h("div", { class: "drawing" }, this.painter.canvas, h("div", { class: "row" }, ...shapes, this.painter.eraser));
  }

  get rows(): string[] {
    return Array.from({ length: DRAWING_SIDE }, (_, i) => this.painter.cells.slice(i * DRAWING_SIDE, (i + 1) * DRAWING_SIDE).join(""));
  }

  /** Rows of another size are brought to this one. */
  set(rows: string[]): void {
    const pick = (i: number, n: number) => Math.floor(((i + 0.5) * n) / DRAWING_SIDE);
    this.painter.set(Array.from({ length: DRAWING_SIDE ** 2 }, (_, c) => Number(rows[pick(Math.floor(c / DRAWING_SIDE), rows.length)][pick(c % DRAWING_SIDE, rows[0].length)])));
  }
}
