// The guided tour as an article: the words of the studio's six lessons, each with a live figure and a question.

import { BAND_COLOURS, bandName, type App } from "./app";
import { button, choice, h, slider, tick, type Slider } from "./dom";
import { clock, SettingCard } from "./flowlab";
import type { Setting } from "./flow/forms";
import { bandsOf, ranks, regionMask, type Region } from "./koopman";
import { mse, sharedDetail } from "./measure";
import { Plane } from "./plane";
import { emptyScene, type Ablation, type Scene } from "./scene";
import type { Lesson } from "./site";
import { Screen, Stage } from "./stage";
import { firstMix, type FlowState } from "./state";

const LEVELS = 18; // moments of a trajectory

interface Figure {
  root: HTMLElement;
  show(): void;
  hide(): void;
}

interface Answer {
  text: string;
  right: boolean | null;
}

const signed = (v: number, digits = 2) => v.toFixed(digits).replace("-", "−");
const listed = (parts: string[]) => (parts.length > 1 ? `${parts.slice(0, -1).join(", ")} and ${parts[parts.length - 1]}` : parts[0]);

export class Lessons {
  readonly root = h("div", { class: "lessons" });
  private readonly figures: Figure[] = [];
  private readonly parts: HTMLElement[] = [];

  constructor(private readonly app: App) {
    const list = h("ol", { class: "contents" });
    app.site.lessons.forEach((lesson, i) => {
      const figure = this.figure(lesson);
      this.figures.push(figure);
      const part = h("section", { class: "lesson", id: `lesson-${i + 1}` },
        h("div", { class: "words" }, h("p", { class: "count" }, `Lesson ${i + 1}`), h("h2", { tabindex: -1 }, lesson.title), ...lesson.words.map((w) => h("p", {}, w)), h("p", { class: "task" }, lesson.task)),
        figure.root);
      this.parts.push(part);
      list.append(h("li", {}, button(lesson.title, () => this.go(i), { class: "link" })));
    });
    this.root.append(
      h("div", { class: "intro" }, h("h2", {}, "From noise to a picture, in six lessons"),
        h("p", {}, "Read it like an article. Every figure is the model itself, running on your machine: drag, click, then check what you think.")),
      h("nav", { "aria-label": "Lessons" }, list), ...this.parts);
  }

  private go(i: number): void {
    this.app.state.lesson = i;
    this.app.changed();
    this.parts[i].scrollIntoView({ block: "start" });
    this.parts[i].querySelector("h2")!.focus({ preventScroll: true });
  }

  show(): void {
    this.figures.forEach((figure) => figure.show());
    if (this.app.state.lesson > 0) this.parts[this.app.state.lesson].scrollIntoView({ block: "start" });
  }

  hide(): void {
    this.figures.forEach((figure) => figure.hide());
  }

  private figure(lesson: Lesson): Figure {
    const make = { level: this.level, guess: this.guess, mode: this.mode, band: this.band, detail: this.detail, flow: this.flow }[lesson.asks];
    if (!make) return { root: h("div"), show: () => undefined, hide: () => undefined };
    return make.call(this, lesson.preset);
  }

  /** The scene of a preset; where it names no class, the class of the page's first picture. */
  private scene(preset: Record<string, unknown>): Scene {
    const { site } = this.app;
    const label = Number(preset.label ?? -1);
    const seed = Array.isArray(preset.seeds) ? Number(preset.seeds[0]) : Number(preset.seed);
    const scene = emptyScene(seed, label < 0 ? site.start.label : label, site.bands.names.length === 3 ? [...site.bands.edges] : [...site.lessonEdges]);
    return { ...scene, ablation: (preset.ablation as Ablation | undefined) ?? scene.ablation };
  }

  private check(answer: () => Promise<Answer>): HTMLElement {
    const out = h("p", { class: "answer", role: "status" });
    const press = button("Check", async () => {
      press.disabled = true;
      out.textContent = "Measuring…";
      out.className = "answer";
      try {
        const { text, right } = await answer();
        out.textContent = text;
        if (right !== null) out.classList.add(right ? "right" : "wrong");
      } catch (e) {
        out.textContent = (e as Error).message;
      }
      press.disabled = false;
    }, { class: "primary" });
    return h("div", { class: "check" }, press, out);
  }

  private async ask(scene: Scene, channel: string): Promise<Uint8ClampedArray<ArrayBuffer>> {
    if (!this.app.ready) throw new Error("Wait until the model has loaded.");
    const picture = await this.app.engine.ask(channel, { kind: "picture", scene: structuredClone(scene) }, 1);
    if (!picture) throw new Error("Something else was asked meanwhile: check again.");
    return picture.rgba;
  }

  private get width(): number {
    return this.app.site.picture[2];
  }

  // --------------------------------------------------------------------------------------------------------------

  private level(preset: Record<string, unknown>[]): Figure {
    const scene = this.scene(preset[0]);
    scene.tau = 1;
    const stage = new Stage(this.app, () => scene, () => undefined, "lesson level");
    const check = this.check(async () => {
      const pictures: Uint8ClampedArray<ArrayBuffer>[] = [];
      for (let k = 0; k < LEVELS; k++) pictures.push(await this.ask({ ...scene, tau: 1 - k / (LEVELS - 1) }, "lesson check"));
      const seen = pictures.map((p) => sharedDetail(p, pictures[LEVELS - 1], this.width));
      const mine = Math.round((1 - scene.tau) * (LEVELS - 1));
      const { clear, near } = this.app.site.checks;
      const first = seen.findIndex((v) => v >= clear);
      if (mine === LEVELS - 1) return { text: "The slider stands at the picture itself: drag it towards the noise first.", right: null };
      const apart = mine - first;
      const where = apart === 0 ? "the same moment" : `${Math.abs(apart)} ${apart > 0 ? "later" : "earlier"}`;
      return {
        text: `You stopped at moment ${mine + 1} of ${LEVELS}, where the fine detail correlates ${signed(seen[mine])} with that of the finished picture. It first reaches ${clear} at moment ${first + 1}: you chose ${where}.`,
        right: Math.abs(apart) <= near,
      };
    });
    return { root: h("div", { class: "figure" }, stage.root, check), show: () => void (this.app.ready && stage.draw()), hide: () => stage.stop() };
  }

  private guess(): Figure {
    const { linearity, checks } = this.app.site;
    let guess = checks.untouched;
    const hand = slider("Your guess", { min: 0, max: 1, step: 0.01 }, guess, (v) => v.toFixed(2), (v) => (guess = v));
    const bars = h("div", { class: "bars" });
    if (!linearity) return { root: h("div", { class: "figure" }, h("p", { class: "hint" }, "This needs the teacher, which this page does not have.")), show: () => undefined, hide: () => undefined };
    const check = this.check(async () => {
      const { names, errors } = linearity;
      if (guess === checks.untouched) return { text: `The slider still stands at ${guess}, where it began: move it to your guess first.`, right: null };
      const ordered = [...errors].sort((a, b) => a - b);
      const half = (ordered.length - 1) / 2;
      const middle = (ordered[Math.floor(half)] + ordered[Math.ceil(half)]) / 2;
      const [low, high] = [Math.min(...errors), Math.max(...errors)];
      bars.replaceChildren(...names.map((name, i) => h("div", { class: "bar" }, h("span", {}, name), h("i", { style: `width:${Math.min(100, 100 * errors[i])}%` }), h("b", {}, errors[i].toFixed(2)))));
      return {
        text: `You guessed ${guess.toFixed(2)}. Measured when this page was written: ${middle.toFixed(2)} in the middle, from ${low.toFixed(2)} (${names[errors.indexOf(low)]}) to ${high.toFixed(2)} (${names[errors.indexOf(high)]}).`,
        right: Math.abs(guess - middle) <= checks.guessed + 1e-9,
      };
    });
    return { root: h("div", { class: "figure" }, hand.root, check, bars), show: () => undefined, hide: () => undefined };
  }

  private mode(): Figure {
    const { site } = this.app;
    let at = site.entries.length - 1;
    let chosen: number | null = null;
    const plane = new Plane((mode) => {
      chosen = mode;
      show();
    });
    const level = choice("Level", site.entries.map((e, i) => [String(i), `${e.name}, ${e.shape.join(" × ")}`]), String(at), (v) => {
      at = Number(v);
      chosen = null;
      show();
    });
    const kept = new Map<number, Uint8Array>();
    const show = () => {
      const entry = this.app.ready?.entries[at];
      if (!entry) return;
      if (!kept.has(at)) kept.set(at, bandsOf(ranks(entry.alpha, "alpha"), site.bands.edges));
      plane.show(entry, kept.get(at)!, chosen);
    };
    const check = this.check(async () => {
      const entry = this.app.ready?.entries[at];
      if (!entry || chosen === null) return { text: "Choose one point of the plane first.", right: null };
      const [alpha, beta] = [entry.alpha[chosen], entry.beta[chosen]];
      const fewer = (limit: number) => entry.alpha.reduce((n, a) => n + Number(a < limit), 0);
      const ahead = fewer(alpha);
      const share = ahead / entry.alpha.length;
      return {
        text: `Your mode of ${entry.name} has α = ${signed(alpha)}: on the way to the picture it ${alpha < 0 ? "grows" : alpha > 0 ? "fades" : "keeps its size"}, × ${Math.exp(-alpha).toFixed(2)}, and turns by ${Math.round((Math.abs(beta) * 180) / Math.PI)}°. Of this level's ${entry.alpha.length.toLocaleString("en")} modes ${fewer(0).toLocaleString("en")} grow, and ${ahead.toLocaleString("en")} (${Math.round(100 * share)} %) have a smaller α than yours.`,
        right: share < site.checks.front,
      };
    });
    return { root: h("div", { class: "figure" }, level.root, plane.canvas, check), show, hide: () => undefined };
  }

  private band(preset: Record<string, unknown>[]): Figure {
    const { site } = this.app;
    const scene = this.scene(preset[0]);
    const screen = new Screen(this.app, "lesson band", "The picture with its bands weighed");
    const show = () => void (this.app.ready && screen.show({ kind: "picture", scene: structuredClone(scene) }));
    const names = scene.gains.map((_, b) => bandName(site, b, scene.gains.length));
    const sliders: Slider[] = names.map((name, b) => slider(name, { min: 0, max: 2, step: 0.01 }, 1, (v) => `${Math.round(100 * v)} %`, (v) => {
      scene.gains[b] = v;
      show();
    }, BAND_COLOURS[b]));
    const check = this.check(async () => {
      const away = scene.gains.flatMap((g, b) => (g === 0 ? [b] : []));
      if (away.length !== 1) return { text: "Pull exactly one slider to 0 and leave the others above it.", right: null };
      const whole = await this.ask({ ...scene, gains: scene.gains.map(() => 1) }, "lesson check");
      const change = [];
      for (const b of scene.gains.keys()) change.push(mse(await this.ask({ ...scene, gains: scene.gains.map((_, k) => Number(k !== b)) }, "lesson check"), whole));
      const least = change.indexOf(Math.min(...change));
      return {
        text: `Change of the picture (mean squared error) when one band is taken away: ${listed(change.map((v, b) => `${names[b]} ${v.toPrecision(3)}`))}. You took ${names[away[0]]}; ${names[least]} is missed least${least === away[0] ? ", as you said." : "."}`,
        right: least === away[0],
      };
    });
    return { root: h("div", { class: "figure" }, h("div", { class: "small-frame" }, screen.canvas), ...sliders.map((s) => s.root), check), show, hide: () => undefined };
  }

  private detail(preset: Record<string, unknown>[]): Figure {
    const { site } = this.app;
    const scene = this.scene(preset[0]);
    const p = preset[0];
    scene.mix = {
      ...firstMix(scene), seed: Number(p.reference_seed), bands: scene.gains.map((_, b) => b), ratio: Number(p.ratio), region: p.region as Region,
      encoding: p.encoding === "latent" ? "latent" : "noise", time: Number(p.tau), noise: Number(p.noise_seed),
    };
    const mix = scene.mix;
    const plain = emptyScene(scene.seed, scene.label, scene.edges);
    const other = emptyScene(mix.seed, mix.label, scene.edges);
    const screens = ["The original", "The reference", "The edit"].map((name, i) => new Screen(this.app, `lesson edit ${i}`, name));
    const show = () => {
      if (!this.app.ready) return;
      [plain, other, scene].forEach((s, i) => void screens[i].show({ kind: "picture", scene: structuredClone(s) }));
    };
    const names = scene.gains.map((_, b) => bandName(site, b, scene.gains.length));
    const ticks = names.map((name, b) => tick(name, true, (on) => {
      mix.bands = on ? [...mix.bands, b].sort() : mix.bands.filter((x) => x !== b);
      if (!mix.bands.length) {
        mix.bands = [b];
        ticks[b].input.checked = true;
      }
      show();
    }));
    const ratio = slider("How much", { min: 0, max: 1, step: 0.01 }, mix.ratio, (v) => `${Math.round(100 * v)} %`, (v) => {
      mix.ratio = v;
      show();
    });
    const check = this.check(async () => {
      if (mix.bands.length !== 1) return { text: "Tick exactly one band first.", right: null };
      const reference = await this.ask(other, "lesson check");
      const inside = regionMask(mix.region, site.picture[1], site.picture[2]);
      const found = [];
      const every = [...scene.gains.keys()];
      for (const bands of [...every.map((b) => [b]), every]) found.push(sharedDetail(await this.ask({ ...scene, mix: { ...mix, bands } }, "lesson check"), reference, this.width, inside));
      const all = found.pop()!;
      const { faint, alike } = site.checks;
      const most = found.indexOf(Math.max(...found));
      const mine = mix.bands[0];
      const text = `Correlation of the edit's fine detail with the reference's: ${listed(found.map((v, b) => `${names[b]} ${signed(v)}`))}; all bands together ${signed(all)}.`;
      if (found[most] < faint) return { text: `${text} Below ${faint} no band brings detail that could be seen, so there is no right answer here.`, right: null };
      const close = mine !== most && found[most] - found[mine] < alike;
      return {
        text: `${text} You took ${names[mine]}; most detail comes with ${names[most]}${close ? ", by less than could be seen" : ""}. This is one pair of pictures: another pair may differ.`,
        right: mine === most || close,
      };
    });
    const shown = h("div", { class: "three" }, ...screens.map((s, i) => h("figure", {}, s.canvas, h("figcaption", {}, ["original", "reference", "edit"][i]))));
    return { root: h("div", { class: "figure" }, shown, h("div", { class: "row", role: "group", "aria-label": "Bands that are mixed" }, ...ticks.map((t) => t.root)), ratio.root, check), show, hide: () => undefined };
  }

  private flow(preset: Record<string, unknown>[]): Figure {
    const first = preset[0];
    const settings = preset.map(({ path, sampler, nfe, sigma0, gamma1, gamma2, gamma3, net }) => ({ path, sampler, nfe, sigma0, gamma1, gamma2, gamma3, net }) as Setting);
    const state: FlowState = { shared: { density: String(first.density), drawing: null, seed: Number(first.seed), points: Number(first.points), grid: "uniform" }, settings };
    const cards = settings.map((_, at) => new SettingCard(this.app, () => state, at, null));
    const show = () => cards.forEach((card) => void card.update());
    const nfe = slider("NFE of all", { min: 1, max: 20, step: 1 }, settings[0].nfe, String, (v) => {
      for (const s of settings) s.nfe = v;
      show();
    });
    let chosen: number | null = null;
    const group = `nearest-${Math.random()}`;
    const radios = settings.map((_, i) => {
      const input = h("input", { type: "radio", name: group });
      input.addEventListener("change", () => (chosen = i));
      return h("label", { class: "tick" }, input, "ABCD"[i]);
    });
    const check = this.check(async () => {
      if (chosen === null) return { text: "Choose one of them first.", right: null };
      const { seeds } = this.app.site.checks;
      const runs = settings.map(() => [] as number[]);
      let floor = 0;
      for (let r = 0; r < seeds; r++) {
        for (const [i, s] of settings.entries()) {
          const run = await this.app.flow.run({ ...state.shared, seed: state.shared.seed + r }, s);
          runs[i].push(run.mmd2);
          floor += run.floor / seeds / settings.length;
        }
      }
      const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
      const means = runs.map(mean);
      const order = [...means.keys()].sort((a, b) => means[a] - means[b]);
      const gap = runs[order[1]].map((v, r) => v - runs[order[0]][r]);
      const spread = Math.sqrt(gap.reduce((s, g) => s + (g - mean(gap)) ** 2, 0) / (gap.length - 1));
      const close = mean(gap) <= spread;
      return {
        text: `With ${settings[0].nfe} network call${settings[0].nfe > 1 ? "s" : ""}, MMD² over ${seeds} noises: ${listed(means.map((v, i) => `${"ABCD"[i]} ${signed(v, 4)}`))}; data against data ${signed(floor, 4)}. ${"ABCD"[order[0]]} comes nearest${close ? `, but not by more than the scatter between noises from ${"ABCD"[order[1]]}.` : "."}`,
        right: chosen === order[0] || (close && chosen === order[1]),
      };
    });
    return { root: h("div", { class: "figure broad" }, h("div", { class: "settings" }, ...cards.map((c) => c.root)), clock(() => cards.map((c) => c.cloud)).root, nfe.root, h("div", { class: "row", role: "radiogroup", "aria-label": "Which comes nearest" }, ...radios), check), show, hide: () => undefined };
  }
}
