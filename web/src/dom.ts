// Small helpers to build elements.

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | ((event: never) => void) | null | undefined>;

/** An element: attributes by name, `on...` as listeners, true as an empty attribute, false and null as none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((c): c is Node | string => c !== null && c !== undefined && c !== false));
  return element;
}

let count = 0;
export function uid(prefix: string): string {
  return `${prefix}-${++count}`;
}

export interface Slider {
  root: HTMLElement;
  input: HTMLInputElement;
  set(value: number): void;
}

/** A labelled slider with its value beside it. */
export function slider(
  label: string,
  range: { min: number; max: number; step: number },
  value: number,
  show: (v: number) => string,
  moved: (v: number) => void,
  colour?: string,
): Slider {
  const id = uid("slider");
  const out = h("output", { for: id }, show(value));
  const input = h("input", { type: "range", id, ...range, value });
  const set = (v: number) => {
    input.value = String(v);
    out.textContent = show(v);
    input.setAttribute("aria-valuetext", show(v));
  };
  input.addEventListener("input", () => {
    set(Number(input.value));
    moved(Number(input.value));
  });
  set(value);
  const dot = colour ? h("i", { class: "dot", style: `background:${colour}`, "aria-hidden": "true" }) : null;
  const root = h("div", { class: "slider" }, h("label", { for: id }, dot, label), input, out);
  return { root, input, set };
}

/** A labelled choice. */
export function choice(
  label: string,
  options: readonly (readonly [string, string])[],
  value: string,
  chosen: (value: string) => void,
): { root: HTMLElement; input: HTMLSelectElement } {
  const id = uid("choice");
  const input = h("select", { id }, ...options.map(([v, text]) => h("option", { value: v, selected: v === value }, text)));
  input.addEventListener("change", () => chosen(input.value));
  return { root: h("div", { class: "field" }, h("label", { for: id }, label), input), input };
}

/** A labelled whole number. */
export function whole(label: string, value: number, most: number, changed: (v: number) => void) {
  const id = uid("number");
  const input = h("input", { type: "number", id, min: 0, max: most, step: 1, value, inputmode: "numeric" });
  input.addEventListener("change", () => {
    const v = Math.min(most, Math.max(0, Math.round(Number(input.value) || 0)));
    input.value = String(v);
    changed(v);
  });
  return { root: h("div", { class: "field" }, h("label", { for: id }, label), input), input };
}

export function tick(label: string, on: boolean, changed: (on: boolean) => void) {
  const input = h("input", { type: "checkbox", checked: on });
  input.addEventListener("change", () => changed(input.checked));
  return { root: h("label", { class: "tick" }, input, label), input };
}

export function button(text: string, pressed: () => void, attributes: Attributes = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick: pressed, ...attributes }, text);
}

export function panel(title: string, ...children: Child[]): HTMLElement {
  return h("section", { class: "panel" }, h("h2", {}, title), ...children);
}

export function paint(canvas: HTMLCanvasElement, rgba: Uint8ClampedArray<ArrayBuffer>, width: number): void {
  const height = rgba.length / 4 / width;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d")!.putImageData(new ImageData(rgba, width, height), 0, 0);
}

/** Whether things may move by themselves. */
export function calm(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

export function save(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A colour of the style sheet, for canvases. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A canvas at the resolution of the screen: returns its context scaled to CSS pixels, and its size in them. */
export function crisp(canvas: HTMLCanvasElement): { ctx: CanvasRenderingContext2D; width: number; height: number } {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = Math.min(2, devicePixelRatio || 1);
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const ctx = canvas.getContext("2d")!;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return { ctx, width, height };
}
