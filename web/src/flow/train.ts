// Training a net on a density in the visitor's browser, a slice of time at a time.

import { Twister } from "../noise";
import { pair, type Density } from "./density";
import { features, Net, scales, std, type Path } from "./flows";
import { Adam, Mlp } from "./mlp";

const BATCH = 256;
const WIDTH = 64;
const FREQUENCIES = 4;
const RATE = 2e-2; // 100 steps then do what 300 do at a quarter of it

export class Training {
  readonly losses: number[] = [];
  step = 0;
  private readonly net: Net;
  private readonly adam: Adam;
  private readonly random: Twister;

  constructor(private readonly density: Density, private readonly path: Path, seed: number) {
    this.random = new Twister(seed);
    const predicts = path.name === "idff" ? "x1" : "velocity";
    const widths = [3 + 2 * FREQUENCIES, WIDTH, WIDTH, WIDTH, 2];
    const mlp = Mlp.random(widths, () => this.random.double());
    this.net = new Net({ predicts, std: density.std, frequencies: FREQUENCIES }, path, mlp);
    this.adam = new Adam(mlp);
  }

  /** One step on fresh points; `share` of the time that is over sets the rate. */
  advance(share: number): void {
    const { path, net, random } = this;
    const x1 = this.density.sample(BATCH, random);
    const x = new Float64Array(2 * BATCH);
    const target = new Float64Array(2 * BATCH);
    const t = new Float64Array(BATCH);
    const size = Math.sqrt(1 + net.form.std ** 2);
    for (let i = 0; i < BATCH; i++) {
      t[i] = 1e-4 + (1 - 2e-4) * ((i + random.double()) / BATCH);
      const start = pair(random);
      const noise = path.sigma ? pair(random) : [0, 0];
      const [, skip, scale] = scales(path, net.form.std, t[i]);
      for (const k of [0, 1]) {
        const at = 2 * i + k;
        x[at] = t[i] * x1[at] + (1 - t[i]) * start[k] + std(path, t[i]) * noise[k];
        target[at] = net.form.predicts === "x1" ? (x1[at] - skip * x[at]) / scale : (x1[at] - start[k]) / size;
      }
    }
    const input = features(x, BATCH, (i) => t[i], (i) => scales(path, net.form.std, t[i])[0], FREQUENCIES);
    const out = net.mlp.forward(input, BATCH);
    let loss = 0;
    const slope = new Float32Array(out.length);
    for (let i = 0; i < out.length; i++) {
      const error = out[i] - target[i];
      loss += error * error;
      slope[i] = (2 * error) / out.length;
    }
    net.mlp.backward(slope, BATCH, this.adam.gradient);
    const warm = Math.min(1, (this.step + 1) / 20);
    this.adam.step(RATE * warm * (0.01 + 0.99 * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, share)))), 0.98);
    this.losses.push(loss / out.length);
    this.step++;
  }

  /** The net with its averaged weights. */
  result(): Net {
    const mlp = new Mlp(this.net.mlp.shapes, this.adam.average.map((w) => w.slice()));
    return new Net(this.net.form, this.path, mlp);
  }
}
