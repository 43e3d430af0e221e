// A small multilayer perceptron with SiLU in plain arrays: forward, backward, Adam.

/** out (n, o) = a (n, k) b^T + bias, b (o, k) row by row; in blocks of 4 x 2, so that what is read serves several sums. */
function product(a: Float32Array, b: Float32Array, bias: Float32Array | null, n: number, o: number, k: number, out: Float32Array) {
  const dot = (r: number, j: number) => {
    let s = bias ? bias[j] : 0;
    for (let m = 0; m < k; m++) s += a[r * k + m] * b[j * k + m];
    out[r * o + j] = s;
  };
  const [rows, columns] = [n - (n % 4), o - (o % 2)];
  for (let r = 0; r < rows; r += 4) {
    const [a0, a1, a2, a3] = [r * k, (r + 1) * k, (r + 2) * k, (r + 3) * k];
    for (let j = 0; j < columns; j += 2) {
      const [b0, b1] = [j * k, (j + 1) * k];
      let [s0, s1, s2, s3, t0, t1, t2, t3] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let m = 0; m < k; m++) {
        const u = b[b0 + m];
        const v = b[b1 + m];
        const x0 = a[a0 + m];
        const x1 = a[a1 + m];
        const x2 = a[a2 + m];
        const x3 = a[a3 + m];
        s0 += x0 * u;
        t0 += x0 * v;
        s1 += x1 * u;
        t1 += x1 * v;
        s2 += x2 * u;
        t2 += x2 * v;
        s3 += x3 * u;
        t3 += x3 * v;
      }
      const [p, q] = bias ? [bias[j], bias[j + 1]] : [0, 0];
      const at = r * o + j;
      out[at] = s0 + p;
      out[at + 1] = t0 + q;
      out[at + o] = s1 + p;
      out[at + o + 1] = t1 + q;
      out[at + 2 * o] = s2 + p;
      out[at + 2 * o + 1] = t2 + q;
      out[at + 3 * o] = s3 + p;
      out[at + 3 * o + 1] = t3 + q;
    }
    for (let j = columns; j < o; j++) for (let d = 0; d < 4; d++) dot(r + d, j);
  }
  for (let r = rows; r < n; r++) for (let j = 0; j < o; j++) dot(r, j);
}

/** The transposed of a table (rows, columns). */
function turned(x: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = x[r * columns + c];
  return out;
}

/** First and second derivative of SiLU. */
function curve(y: number): [number, number] {
  const s = 1 / (1 + Math.exp(-y));
  return [s * (1 + y * (1 - s)), s * (1 - s) * (2 + y * (1 - 2 * s))];
}

export class Mlp {
  /** Inputs of every layer, and what its SiLU was given; of the last forward pass. */
  private inputs: Float32Array[] = [];
  private before: Float32Array[] = [];
  private moved: Float32Array[] = []; // derivatives of `before` along the last tangent

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
      product(h, this.weights[2 * k], this.weights[2 * k + 1], n, o, i, y);
      if (k === this.shapes.length - 1) return void (h = y);
      this.before.push(y);
      h = new Float32Array(y.length);
      for (let m = 0; m < y.length; m++) h[m] = y[m] / (1 + Math.exp(-y[m]));
      this.inputs.push(h);
    });
    return h;
  }

  /** Gradient at the input of the last forward pass for a gradient at its output; those of the weights into `into`. */
  backward(dy: Float32Array, n: number, into?: Float32Array[]): Float32Array {
    let g = dy;
    for (let k = this.shapes.length - 1; k >= 0; k--) {
      const [o, i] = this.shapes[k];
      if (into) {
        const across = turned(g, n, o);
        product(across, turned(this.inputs[k], n, i), null, o, i, n, into[2 * k]);
        for (let j = 0; j < o; j++) {
          let sum = 0;
          for (let r = 0; r < n; r++) sum += across[j * n + r];
          into[2 * k + 1][j] = sum;
        }
      }
      if (!k && into) break; // nobody asks for the input's gradient in training
      const dx = new Float32Array(n * i);
      product(g, turned(this.weights[2 * k], o, i), null, n, i, o, dx);
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

  /** Derivative of the last forward pass along `dx` of its input. */
  tangent(dx: Float32Array, n: number): Float32Array {
    this.moved = [];
    let h = dx;
    this.shapes.forEach(([o, i], k) => {
      const y = new Float32Array(n * o);
      product(h, this.weights[2 * k], null, n, o, i, y);
      if (k === this.shapes.length - 1) return void (h = y);
      this.moved.push(y);
      h = y.map((v, m) => v * curve(this.before[k][m])[0]);
    });
    return h;
  }

  /** Derivative of `backward` along the last tangent, for a gradient at the output that stays as it is. */
  backwardTangent(dy: Float32Array, n: number): Float32Array {
    let g = dy;
    let dg = new Float32Array(dy.length);
    for (let k = this.shapes.length - 1; k >= 0; k--) {
      const [o, i] = this.shapes[k];
      const across = turned(this.weights[2 * k], o, i);
      const [x, dx] = [new Float32Array(n * i), new Float32Array(n * i)];
      product(g, across, null, n, i, o, x);
      product(dg, across, null, n, i, o, dx);
      for (let m = 0; k && m < x.length; m++) {
        const [slope, bend] = curve(this.before[k - 1][m]);
        dx[m] = dx[m] * slope + x[m] * bend * this.moved[k - 1][m];
        x[m] *= slope;
      }
      [g, dg] = [x, dx];
    }
    return dg;
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
