// Numbers of the lessons' answers: change of a picture, and how much of its fine detail it shares with another.

type Rgba = Uint8ClampedArray<ArrayBuffer>;
const BLUR = 2; // pixels: what a Gaussian of this width takes away is "detail", as in the studio

/** Colour channels of a picture in [-1, 1], one after the other. */
function channels(rgba: Rgba): Float64Array {
  const n = rgba.length / 4;
  return Float64Array.from({ length: 3 * n }, (_, i) => rgba[4 * (i % n) + Math.floor(i / n)] / 127.5 - 1);
}

export function mse(a: Rgba, b: Rgba): number {
  const [x, y] = [channels(a), channels(b)];
  return x.reduce((sum, v, i) => sum + (v - y[i]) ** 2, 0) / x.length;
}

/** A picture less its Gaussian blur; at the border the kernel is cut off and normalised again. */
function detail(rgba: Rgba, width: number): Float64Array {
  const x = channels(rgba);
  const height = x.length / 3 / width;
  const kernel = (n: number) =>
    Array.from({ length: n }, (_, i) => {
      const row = Array.from({ length: n }, (_, j) => Math.exp(-0.5 * ((i - j) / BLUR) ** 2));
      const sum = row.reduce((a, b) => a + b, 0);
      return row.map((v) => v / sum);
    });
  const [down, across] = [kernel(height), kernel(width)];
  const out = new Float64Array(x.length);
  const middle = new Float64Array(width * height);
  for (let c = 0; c < 3; c++) {
    const from = c * width * height;
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        let sum = 0;
        for (let k = 0; k < height; k++) sum += down[i][k] * x[from + k * width + j];
        middle[i * width + j] = sum;
      }
    }
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        let sum = 0;
        for (let k = 0; k < width; k++) sum += across[j][k] * middle[i * width + k];
        out[from + i * width + j] = x[from + i * width + j] - sum;
      }
    }
  }
  return out;
}

/** Correlation of the fine detail of two pictures, 0 where one has none; `inside` weighs the pixels. */
export function sharedDetail(a: Rgba, b: Rgba, width: number, inside?: Float32Array): number {
  const [x, y] = [detail(a, width), detail(b, width)];
  const area = x.length / 3;
  const weight = (i: number) => (inside ? inside[i % area] : 1);
  let total = 0;
  let [mx, my] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    total += weight(i);
    mx += weight(i) * x[i];
    my += weight(i) * y[i];
  }
  mx /= total;
  my /= total;
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    xx += weight(i) * (x[i] - mx) ** 2;
    yy += weight(i) * (y[i] - my) ** 2;
    xy += weight(i) * (x[i] - mx) * (y[i] - my);
  }
  return xx > 1e-12 && yy > 1e-12 ? xy / Math.sqrt(xx * yy) : 0;
}
