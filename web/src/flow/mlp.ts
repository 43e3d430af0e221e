// A small multilayer perceptron with SiLU in plain arrays: forward, backward, Adam.

/** out (n, o) = x (n, i) w^T + bias, w (o, i) row by row; four rows at a time, so that weights are read once for all. */
function linear(x: Float32Array, w: Float32Array, bias: Float32Array, n: number, i: number, o: number, out: Float32Array) {
  let r = 0;
  for (; r + 4 <= n; r += 4) {
    const [a, b, c, d] = [r * i, (r + 1) * i, (r + 2) * i, (r + 3) * i];
    for (let j = 0; j < o; j++) {
      const at = j * i;
      let s = bias[j];
      let t = s;
      let u = s;
      let v = s;
      for (let k = 0; k < i; k++) {
        const weight = w[at + k];
        s += weight * x[a + k];
        t += weight * x[b + k];
        u += weight * x[c + k];
        v += weight * x[d + k];
      }
      out[r * o + j] = s;
      out[(r + 1) * o + j] = t;
      out[(r + 2) * o + j] = u;
      out[(r + 3) * o + j] = v;
    }
  }
  for (; r < n; r++) {
    for (let j = 0; j < o; j++) {
      let s = bias[j];
      for (let k = 0; k < i; k++) s += w[j * i + k] * x[r * i + k];
      out[r * o + j] = s;
    }
  }
}

/** dx (n, i) = dy (n, o) w. */
function backLinear(dy: Float32Array, w: Float32Array, n: number, i: number, o: number, dx: Float32Array) {
  dx.fill(0);
  for (let r = 0; r < n; r++) {
    const row = dx.subarray(r * i, (r + 1) * i);
    for (let j = 0; j < o; j++) {
      const g = dy[r * o + j];
      const at = j * i;
      for (let k = 0; k < i; k++) row[k] += g * w[at + k];
    }
  }
}

/** dw (o, i) = dy^T x, db (o,) = sum of dy. */
function slopes(dy: Float32Array, x: Float32Array, n: number, i: number, o: number, dw: Float32Array, db: Float32Array) {
  dw.fill(0);
  db.fill(0);
  for (let r = 0; r < n; r++) {
    const row = x.subarray(r * i, (r + 1) * i);
    for (let j = 0; j < o; j++) {
      const g = dy[r * o + j];
      db[j] += g;
      const at = j * i;
      for (let k = 0; k < i; k++) dw[at + k] += g * row[k];
    }
  }
}

export class Mlp {
  /** Inputs of every layer, and what its SiLU was given; of the last forward pass. */
  private inputs: Float32Array[] = [];
  private before: Float32Array[] = [];

  constructor(
    readonly shapes: readonly (readonly [number, number])[], // (out, in)
    readonly weights: Float32Array[], // weight, bias, weight, bias, ...
  ) {}

  static random(widths: number[], uniform: () => number): Mlp {
    const shapes = widths.slice(1).map((o, k) => [o, widths[k]] as [number, number]);
    const weights = shapes.flatMap(([o, i]) => {
      const bound = 1 / Math.sqrt(i);
      const draw = (n: number) => Float32Array.from({ length: n }, () => bound * (2 * uniform() - 1));
      return [draw(o * i), draw(o)];
    });
    return new Mlp(shapes, weights);
  }

  forward(x: Float32Array, n: number): Float32Array {
    this.inputs = [x];
    this.before = [];
    let h = x;
    this.shapes.forEach(([o, i], k) => {
      const y = new Float32Array(n * o);
      linear(h, this.weights[2 * k], this.weights[2 * k + 1], n, i, o, y);
      if (k === this.shapes.length - 1) return void (h = y);
      this.before.push(y);
      h = y.map((v) => v / (1 + Math.exp(-v)));
      this.inputs.push(h);
    });
    return h;
  }

  /** Gradient at the input of the last forward pass for a gradient at its output; those of the weights into `into`. */
  backward(dy: Float32Array, n: number, into?: Float32Array[]): Float32Array {
    let g = dy;
    for (let k = this.shapes.length - 1; k >= 0; k--) {
      const [o, i] = this.shapes[k];
      if (into) slopes(g, this.inputs[k], n, i, o, into[2 * k], into[2 * k + 1]);
      if (!k && into) break; // nobody asks for the input's gradient in training
      const dx = new Float32Array(n * i);
      backLinear(g, this.weights[2 * k], n, i, o, dx);
      if (k) {
        const y = this.before[k - 1];
        for (let m = 0; m < dx.length; m++) {
          const s = 1 / (1 + Math.exp(-y[m]));
          dx[m] *= s * (1 + y[m] * (1 - s));
        }
      }
      g = dx;
    }
    return g;
  }
}

/** Adam (Kingma and Ba 2015) with gradients clipped to norm 1 and an average of the weights. */
export class Adam {
  readonly gradient: Float32Array[];
  readonly average: Float32Array[];
  private readonly first: Float32Array[];
  private readonly second: Float32Array[];
  private steps = 0;

  constructor(private readonly net: Mlp) {
    const zeros = () => net.weights.map((w) => new Float32Array(w.length));
    [this.gradient, this.first, this.second] = [zeros(), zeros(), zeros()];
    this.average = net.weights.map((w) => w.slice());
  }

  step(rate: number, keep: number): void {
    this.steps++;
    let squares = 0;
    for (const g of this.gradient) for (const v of g) squares += v * v;
    const clip = Math.min(1, 1 / Math.max(Math.sqrt(squares), 1e-12));
    const [b1, b2] = [0.9, 0.99];
    const [c1, c2] = [1 - b1 ** this.steps, 1 - b2 ** this.steps];
    const share = Math.min(keep, this.steps / (this.steps + 10));
    this.net.weights.forEach((w, k) => {
      const [g, m, v, a] = [this.gradient[k], this.first[k], this.second[k], this.average[k]];
      for (let i = 0; i < w.length; i++) {
        const d = clip * g[i];
        m[i] = b1 * m[i] + (1 - b1) * d;
        v[i] = b2 * v[i] + (1 - b2) * d * d;
        w[i] -= (rate * (m[i] / c1)) / (Math.sqrt(v[i] / c2) + 1e-8);
        a[i] = share * a[i] + (1 - share) * w[i];
      }
    });
  }
}

/** Half precision to single. */
export function fromHalf(bits: Uint16Array): Float32Array {
  return Float32Array.from(bits, (h) => {
    const sign = h & 0x8000 ? -1 : 1;
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
  });
}
