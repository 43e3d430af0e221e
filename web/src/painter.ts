// A square of cells that is painted with pointer or keyboard: a region of a picture, or a density.

import { h, paint, tick } from "./dom";

const ON = [0, 114, 178, 255];
const OFF = [140, 145, 155, 55];
const CURSOR = [230, 159, 0, 255];

export class CellPainter {
  readonly canvas: HTMLCanvasElement;
  readonly eraser: HTMLElement;
  cells: Uint8Array;
  private at: [number, number] | null = null;
  private erase = false;

  /** `changed` is told after every dab, with true where the stroke is at its end. */
  constructor(readonly side: number, private readonly brush: number, label: string, private readonly changed: (done: boolean) => void) {
    this.cells = new Uint8Array(side * side);
    this.canvas = h("canvas", {
      width: side, height: side, class: "pixels painter", tabindex: 0, role: "application",
      "aria-label": `${label} Arrow keys move the brush, space paints, delete erases.`,
    });
    this.eraser = tick("Erase", false, (v) => (this.erase = v)).root;
    this.canvas.addEventListener("pointerdown", (e) => {
      this.canvas.setPointerCapture(e.pointerId);
      this.stroke(e);
    });
    this.canvas.addEventListener("pointermove", (e) => {
      if (this.canvas.hasPointerCapture(e.pointerId)) this.stroke(e);
    });
    this.canvas.addEventListener("pointerup", () => this.changed(true));
    this.canvas.addEventListener("keydown", (e) => this.key(e));
    this.draw();
  }

  set(cells: ArrayLike<number>): void {
    this.cells = Uint8Array.from(cells);
    this.draw();
  }

  /** Every cell by its middle in [-1, 1]^2, y downwards. */
  fill(inside: (x: number, y: number) => boolean): void {
    const unit = (i: number) => (2 * (i + 0.5)) / this.side - 1;
    this.set(Array.from(this.cells, (_, c) => Number(inside(unit(c % this.side), unit(Math.floor(c / this.side))))));
  }

  private stroke(e: PointerEvent): void {
    const box = this.canvas.getBoundingClientRect();
    const place = (v: number, size: number) => (v / size) * this.side;
    this.dab(place(e.clientX - box.left, box.width), place(e.clientY - box.top, box.height), !this.erase);
    this.changed(false);
  }

  private dab(x: number, y: number, on: boolean): void {
    this.cells.forEach((_, c) => {
      if (Math.hypot((c % this.side) + 0.5 - x, Math.floor(c / this.side) + 0.5 - y) < this.brush) this.cells[c] = Number(on);
    });
    this.draw();
  }

  private key(e: KeyboardEvent): void {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    const [x, y] = this.at ?? [this.side / 2, this.side / 2];
    const inside = (v: number) => Math.min(this.side - 0.5, Math.max(0.5, v));
    if (move) this.at = [inside(x + move[0]), inside(y + move[1])];
    else if ([" ", "Delete", "Backspace"].includes(e.key)) {
      this.dab(x, y, e.key === " ");
      this.changed(true);
    } else return;
    e.preventDefault();
    this.draw();
  }

  private draw(): void {
    const rgba = new Uint8ClampedArray(4 * this.cells.length);
    const cursor = this.at ? Math.floor(this.at[1]) * this.side + Math.floor(this.at[0]) : -1;
    this.cells.forEach((on, c) => rgba.set(c === cursor ? CURSOR : on ? ON : OFF, 4 * c));
    paint(this.canvas, rgba, this.side);
  }
}
