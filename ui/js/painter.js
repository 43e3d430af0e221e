// Paints a mask, pixel by pixel, over a small picture. props.value = JSON {side, picture, mask}, mask a string of 0 and 1.
// Every stroke that changes something triggers "apply" with {mask}.

const find = (selector) => element.querySelector(selector);
const canvas = find("canvas"), size = find("input"), clear = find(".ks-clear");
const [brush, eraser] = element.querySelectorAll("[aria-pressed]");
const CELL = 8; // canvas pixels a pixel of the picture
const PAINT = "rgba(230, 159, 0, 0.82)"; // Okabe and Ito's orange
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let side = 0, mask = [], picture = null, painting = false, before = "", last = null, cursor = null;

function draw() {
  const context = canvas.getContext("2d");
  canvas.width = canvas.height = side * CELL;
  context.imageSmoothingEnabled = false;
  if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  context.fillStyle = PAINT;
  mask.forEach((on, k) => {
    if (on) context.fillRect((k % side) * CELL, Math.floor(k / side) * CELL, CELL, CELL);
  });
  if (!cursor) return;
  context.lineWidth = 2;
  for (const [colour, grown] of [["#000", 2], ["#fff", 0]]) { // to be seen on any picture
    context.strokeStyle = colour;
    context.strokeRect((cursor[0] - 0.5) * CELL - grown, (cursor[1] - 0.5) * CELL - grown, CELL + 2 * grown, CELL + 2 * grown);
  }
}

// Pixels whose centre lies under a round brush of so many pixels across.
function dab(x, y) {
  const radius = Number(size.value) / 2, on = brush.getAttribute("aria-pressed") === "true";
  for (let i = 0; i < side; i += 1) {
    for (let j = 0; j < side; j += 1) {
      if (Math.hypot(j + 0.5 - x, i + 0.5 - y) <= radius) mask[i * side + j] = on;
    }
  }
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * side, ((event.clientY - box.top) / box.height) * side];
}

function stroke(event) {
  const [x, y] = at(event), [fromX, fromY] = last || [x, y];
  const steps = Math.max(1, Math.ceil(2 * Math.hypot(x - fromX, y - fromY)));
  for (let n = 1; n <= steps; n += 1) dab(fromX + ((x - fromX) * n) / steps, fromY + ((y - fromY) * n) / steps);
  last = [x, y];
  draw();
}

// As the address keeps it (ui/components/painter.py): runs or pixels, whichever is shorter; "" where nothing is painted.
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function packed() {
  if (!mask.some(Boolean)) return "";
  const runs = [];
  let on = false, length = 0;
  for (const now of mask) {
    if (now !== on) {
      runs.push(length);
      [on, length] = [now, 0];
    }
    length += 1;
  }
  let lengths = "", pixels = "";
  for (let run of [...runs, length]) {
    for (; run > 31; run >>= 5) lengths += LETTERS[32 + (run & 31)];
    lengths += LETTERS[run];
  }
  if (lengths.length <= Math.ceil(mask.length / 6)) return `${side}r${lengths}`;
  for (let k = 0; k < mask.length; k += 6) {
    pixels += LETTERS[mask.slice(k, k + 6).reduce((sum, now, n) => sum + (now ? 1 << n : 0), 0)];
  }
  return `${side}b${pixels}`;
}

const text = () => mask.map((on) => (on ? "1" : "0")).join("");

function tell() {
  const now = text();
  canvas.dataset.painted = mask.filter(Boolean).length;
  canvas.dataset.packed = packed();
  if (now !== before) trigger("apply", { mask: now });
  before = now;
}

canvas.addEventListener("pointerdown", (event) => {
  if (!side || event.button > 0) return;
  canvas.setPointerCapture(event.pointerId);
  painting = true;
  last = null;
  stroke(event);
});
canvas.addEventListener("pointermove", (event) => { if (painting) stroke(event); });
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => {
    if (painting) tell();
    painting = false;
  });
}
// Without a pointer: the arrows move a cursor, the space bar dabs.
canvas.addEventListener("keydown", (event) => {
  const by = ARROWS[event.key];
  if (!side || (!by && event.key !== " ")) return;
  event.preventDefault();
  cursor = (cursor || [side / 2 - 0.5, side / 2 - 0.5]).map((c, k) => Math.max(0.5, Math.min(side - 0.5, c + (by ? by[k] : 0))));
  if (!by) dab(...cursor);
  draw();
  if (!by) tell();
});
canvas.addEventListener("blur", () => {
  cursor = null;
  draw();
});
for (const [one, other] of [[brush, eraser], [eraser, brush]]) {
  one.addEventListener("click", () => {
    one.setAttribute("aria-pressed", "true");
    other.setAttribute("aria-pressed", "false");
  });
}
clear.addEventListener("click", () => {
  mask.fill(false);
  draw();
  tell();
});

function load() {
  if (!props.value) return;
  const value = JSON.parse(props.value);
  side = value.side;
  mask = [...value.mask].map((c) => c === "1");
  before = text();
  painting = false;
  canvas.dataset.painted = mask.filter(Boolean).length;
  canvas.dataset.packed = packed();
  if (!value.picture) { // an empty sheet, in the page's own colour
    picture = null;
    draw();
    return;
  }
  const image = new Image();
  image.onload = () => { picture = image; draw(); };
  image.src = value.picture;
}

load();
watch("value", load);
