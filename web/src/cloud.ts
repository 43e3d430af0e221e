// Points of a flow over the contours of their density: a canvas, the way in steps.

import { colour, crisp, h } from "./dom";
import type { Contours, Run } from "./flow/forms";

const LINES = 40; // trajectories that are drawn
const LEVELS = [0.08, 0.25, 0.5, 0.75];

/** Segments where a grid crosses a level (marching squares), in units of cells. */
export function isolines({ cells, values }: Contours, level: number): number[] {
  const out: number[] = [];
  const at = (i: number, j: number) => values[i * cells + j];
  for (let i = 0; i + 1 < cells; i++) {
    for (let j = 0; j + 1 < cells; j++) {
      const corner = [at(i, j), at(i, j + 1), at(i + 1, j + 1), at(i + 1, j)];
      const cuts: number[] = [];
      for (let k = 0; k < 4; k++) {
        const [a, b] = [corner[k], corner[(k + 1) % 4]];
        if (a > level === b > level) continue;
        const s = (level - a) / (b - a);
        cuts.push(...[[j + s, i], [j + 1, i + s], [j + 1 - s, i + 1], [j, i + 1 - s]][k]);
      }
      for (let k = 0; k + 3 < cuts.length; k += 4) out.push(...cuts.slice(k, k + 4));
    }
  }
  return out;
}

export class Cloud {
  readonly canvas = h("canvas", { class: "cloud", role: "img", "aria-label": "Points of the flow" });
  private contours: { lines: Float64Array; cells: number; extent: number } | null = null;
  private run: Run | null = null;
  private points: Float32Array | null = null;
  private step = Infinity;
  paths = true;

  constructor() {
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    addEventListener("resize", () => this.draw());
  }

  setContours(contours: Contours): void {
    const most = contours.values.reduce((a, b) => Math.max(a, b), 0);
    const lines = Float64Array.from(LEVELS.flatMap((share) => isolines(contours, share * most)));
    this.contours = { lines, cells: contours.cells, extent: contours.extent };
    this.draw();
  }

  setRun(run: Run | null): void {
    [this.run, this.points] = [run, null];
    this.draw();
  }

  setPoints(points: Float32Array | null): void {
    [this.run, this.points] = [null, points];
    this.draw();
  }

  /** Place on the way: 0 = noise, 1 = the end. */
  setTime(share: number): void {
    this.step = share;
    this.draw();
  }

  draw(): void {
    if (!this.canvas.isConnected || !this.contours) return;
    const { ctx, width, height } = crisp(this.canvas);
    const { extent, cells, lines } = this.contours;
    const reach = Math.max(extent, 3);
    const x = (v: number) => (width * (v / reach + 1)) / 2;
    const y = (v: number) => (height * (1 - v / reach)) / 2;
    const cell = (c: number) => extent * (-1 + (2 * c) / (cells - 1));
    ctx.strokeStyle = colour("--contour");
    ctx.lineWidth = 1.2;
    ctx.beginPath();
    for (let k = 0; k < lines.length; k += 4) {
      ctx.moveTo(x(cell(lines[k])), y(cell(lines[k + 1])));
      ctx.lineTo(x(cell(lines[k + 2])), y(cell(lines[k + 3])));
    }
    ctx.stroke();
    const dots = (get: (i: number) => [number, number], n: number) => {
      ctx.fillStyle = colour("--accent");
      ctx.globalAlpha = 0.75;
      const size = n > 900 ? 1.5 : 2.1;
      for (let i = 0; i < n; i++) {
        const [a, b] = get(i);
        ctx.beginPath();
        ctx.arc(x(a), y(b), size, 0, 7);
        ctx.fill();
      }
      ctx.globalAlpha = 1;
    };
    if (this.points) return dots((i) => [this.points![2 * i], this.points![2 * i + 1]], this.points.length / 2);
    if (!this.run) return;
    const { times, trajectories } = this.run;
    const last = times.length - 1;
    const n = trajectories.length / (2 * times.length);
    const place = Math.min(last, Math.max(0, (this.step > 1 ? 1 : this.step) * last));
    const k = Math.min(last - 1, Math.floor(place));
    const state = (step: number, i: number, c: number) => trajectories[2 * (step * n + i) + c];
    const now = (i: number): [number, number] => {
      const s = place - k;
      return [0, 1].map((c) => (1 - s) * state(k, i, c) + s * state(k + 1, i, c)) as [number, number];
    };
    if (this.paths) {
      ctx.strokeStyle = colour("--band-1");
      ctx.globalAlpha = 0.6;
      ctx.lineWidth = 1.1;
      for (let i = 0; i < Math.min(LINES, n); i++) {
        ctx.beginPath();
        ctx.moveTo(x(state(0, i, 0)), y(state(0, i, 1)));
        for (let step = 1; step <= k; step++) ctx.lineTo(x(state(step, i, 0)), y(state(step, i, 1)));
        const [a, b] = now(i);
        ctx.lineTo(x(a), y(b));
        ctx.stroke();
      }
      ctx.globalAlpha = 1;
    }
    dots(now, n);
  }
}
