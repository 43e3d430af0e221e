// The plane of eigenvalues: one level's modes, coloured by band; click or arrow keys choose one.

import { BAND_COLOURS } from "./app";
import { colour, crisp, h } from "./dom";
import type { Entry } from "./koopman";

const PAD = { left: 46, right: 12, top: 12, bottom: 34 };

export function resolved(name: string): string {
  return name.startsWith("var(") ? colour(name.slice(4, -1)) : name;
}

export class Plane {
  readonly canvas = h("canvas", {
    class: "plane", tabindex: 0, role: "application",
    "aria-label": "Eigenvalues of this level. Arrow keys left and right choose the next mode by α.",
  });
  private entry: Entry | null = null;
  private band: Uint8Array = new Uint8Array();
  private byAlpha: number[] = [];
  private chosen: number | null = null;
  private span = { a: 1, b: 1 };

  constructor(private readonly choose: (mode: number) => void) {
    this.canvas.addEventListener("click", (e) => this.pick(e));
    this.canvas.addEventListener("keydown", (e) => this.key(e));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(entry: Entry, band: Uint8Array, chosen: number | null): void {
    if (entry !== this.entry) {
      this.byAlpha = Array.from(entry.alpha.keys()).sort((i, j) => entry.alpha[i] - entry.alpha[j] || i - j);
      const most = (v: Float32Array) => v.reduce((m, x) => Math.max(m, Math.abs(x)), 0.05) * 1.06;
      this.span = { a: most(entry.alpha), b: most(entry.beta) };
    }
    [this.entry, this.band, this.chosen] = [entry, band, chosen];
    this.draw();
  }

  private place(width: number, height: number) {
    const [w, g] = [width - PAD.left - PAD.right, height - PAD.top - PAD.bottom];
    return {
      x: (alpha: number) => PAD.left + (w * (alpha / this.span.a + 1)) / 2,
      y: (beta: number) => PAD.top + (g * (1 - beta / this.span.b)) / 2,
    };
  }

  draw(): void {
    const { entry } = this;
    if (!entry || !this.canvas.isConnected) return;
    const { ctx, width, height } = crisp(this.canvas);
    const { x, y } = this.place(width, height);
    const [ink, line] = [colour("--quiet"), colour("--line")];
    ctx.font = "12px system-ui, sans-serif";
    ctx.strokeStyle = line;
    ctx.lineWidth = 1;
    ctx.strokeRect(PAD.left, PAD.top, width - PAD.left - PAD.right, height - PAD.top - PAD.bottom);
    ctx.beginPath();
    ctx.moveTo(x(0), PAD.top);
    ctx.lineTo(x(0), height - PAD.bottom);
    ctx.moveTo(PAD.left, y(0));
    ctx.lineTo(width - PAD.right, y(0));
    ctx.stroke();
    ctx.fillStyle = ink;
    ctx.textAlign = "center";
    for (const v of [-1, 0, 1]) ctx.fillText((v * this.span.a * 0.9).toFixed(1).replace("-", "−"), x(v * this.span.a * 0.9), height - PAD.bottom + 15);
    ctx.fillText("α   grows ← → fades", (PAD.left + width - PAD.right) / 2, height - 5);
    ctx.textAlign = "right";
    for (const v of [-1, 0, 1]) ctx.fillText((v * this.span.b * 0.9).toFixed(1).replace("-", "−"), PAD.left - 6, y(v * this.span.b * 0.9) + 4);
    ctx.save();
    ctx.translate(11, (PAD.top + height - PAD.bottom) / 2);
    ctx.rotate(-Math.PI / 2);
    ctx.textAlign = "center";
    ctx.fillText("±β   turns", 0, 0);
    ctx.restore();
    const n = entry.alpha.length;
    const size = n > 3000 ? 1.4 : n > 600 ? 2 : 2.8;
    ctx.globalAlpha = n > 3000 ? 0.45 : 0.7;
    const colours = BAND_COLOURS.map(resolved);
    for (let m = 0; m < n; m++) {
      ctx.fillStyle = colours[this.band[m] % colours.length];
      for (const beta of [entry.beta[m], -entry.beta[m]]) {
        ctx.beginPath();
        // shape says the band, too
        if (this.band[m] % 3 === 0) ctx.arc(x(entry.alpha[m]), y(beta), size, 0, 7);
        else if (this.band[m] % 3 === 1) ctx.rect(x(entry.alpha[m]) - size, y(beta) - size, 2 * size, 2 * size);
        else {
          ctx.moveTo(x(entry.alpha[m]), y(beta) - 1.3 * size);
          ctx.lineTo(x(entry.alpha[m]) + 1.2 * size, y(beta) + size);
          ctx.lineTo(x(entry.alpha[m]) - 1.2 * size, y(beta) + size);
        }
        ctx.fill();
      }
    }
    ctx.globalAlpha = 1;
    if (this.chosen === null) return;
    for (const sign of [1, -1]) {
      const [px, py] = [x(entry.alpha[this.chosen]), y(sign * entry.beta[this.chosen])];
      for (const [stroke, w] of [[colour("--paper"), 5], [colour("--ink"), 2.2]] as const) {
        ctx.strokeStyle = stroke;
        ctx.lineWidth = w;
        ctx.beginPath();
        ctx.arc(px, py, 7, 0, 7);
        ctx.stroke();
      }
    }
  }

  private pick(e: MouseEvent): void {
    const { entry } = this;
    if (!entry) return;
    const box = this.canvas.getBoundingClientRect();
    const { x, y } = this.place(box.width, box.height);
    const [px, py] = [e.clientX - box.left, e.clientY - box.top];
    let best = -1;
    let least = Infinity;
    for (let m = 0; m < entry.alpha.length; m++) {
      const d = (x(entry.alpha[m]) - px) ** 2 + Math.min((y(entry.beta[m]) - py) ** 2, (y(-entry.beta[m]) - py) ** 2);
      if (d < least) [least, best] = [d, m];
    }
    this.choose(best);
  }

  private key(e: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 10, ArrowDown: -10 }[e.key];
    if (!step || !this.byAlpha.length) return;
    e.preventDefault();
    const at = this.chosen === null ? (step > 0 ? -1 : this.byAlpha.length) : this.byAlpha.indexOf(this.chosen);
    this.choose(this.byAlpha[Math.min(this.byAlpha.length - 1, Math.max(0, at + step))]);
  }
}
