// Samplers: from noise (t = 0) to data (t = 1) in exactly the calls asked for; formulas in docs/flow.md.

import { dataPrediction, noiseVariance, pull, score, std, velocity, type Points, type Predictor, type Said } from "./flows";
import type { Setting } from "./forms";

const ROWS: Record<string, [number[][], number[]]> = {
  euler: [[], [1]],
  midpoint: [[[0.5]], [0, 1]],
  ralston: [[[0.5], [0, 0.75]], [2 / 9, 1 / 3, 4 / 9]],
  heun: [[[1]], [0.5, 0.5]],
  rk4: [[[0.5], [0, 0.5], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]],
};

/** Which rule each step takes, so that exactly `nfe` calls are spent. */
export function plan(sampler: string, nfe: number): string[] {
  const repeat = (name: string, n: number) => new Array<string>(n).fill(name);
  if (sampler === "heun") return [...repeat("heun", Math.floor((nfe - 1) / 2)), (nfe - 1) % 2 ? "midpoint" : "euler"];
  if (sampler === "rk4" || sampler === "rk4p") {
    const ends = [["euler"], ["midpoint"], ["ralston"], ["midpoint", "midpoint"]];
    return [...repeat("rk4", Math.floor((nfe - 1) / 4)), ...ends[(nfe - 1) % 4]];
  }
  if (sampler === "taylor2") return [...repeat("taylor2", Math.floor(nfe / 2)), ...repeat("euler", nfe % 2)];
  return repeat("euler", nfe);
}

export function gridOf(kind: "uniform" | "cosine", steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, k) => (kind === "cosine" ? (1 - Math.cos((Math.PI * k) / steps)) / 2 : k / steps));
}

/** Times of the steps: all of equal share, but for "rk4p", where each has that of its calls. */
function timesOf(sampler: string, rules: string[], grid: "uniform" | "cosine"): number[] {
  if (sampler !== "rk4p") return gridOf(grid, rules.length);
  const ends = [0];
  for (const rule of rules) ends.push(ends[ends.length - 1] + ROWS[rule][1].length);
  const fine = gridOf(grid, ends[ends.length - 1]);
  return ends.map((k) => fine[k]);
}

const LIMIT = 1e4;

function momentum(f: Predictor, x: Points, t: number, said: Said, gammas: number[]): Points {
  const p = f.path;
  const s = std(p, t);
  const weights = [gammas[0] - 0.5, ...gammas.slice(1)];
  while (weights.length && weights[weights.length - 1] === 0) weights.pop();
  if (!weights.length || s === 0) return new Float64Array(x.length);
  const terms = [score(p, x, t, said)];
  if (weights.length > 1) terms.push(f.scoreSlope(x, t));
  if (weights.length > 2) terms.push(f.scoreCurve(x, t));
  return x.map((_, i) => s * s * weights.reduce((sum, w, k) => sum + w * terms[k][i], 0));
}

export interface Followed {
  times: number[];
  states: Points[];
  calls: number;
}

/** Run the sampler of a setting from its noise; `draw` gives the noise of a step. */
export function follow(f: Predictor, x: Points, s: Setting, grid: "uniform" | "cosine", draw: (step: number) => Points): Followed {
  const p = f.path;
  const rules = plan(s.sampler, s.nfe);
  const times = timesOf(s.sampler, rules, grid);
  const states = [x];
  let calls = 0;
  const ask = (at: Points, t: number) => (calls++, f.predict(at, t));
  const gammas = [s.gamma1, s.gamma2, s.gamma3];
  const last: Points[] = [];
  const deviation = times.map((t) => (p.independent ? Math.sqrt(noiseVariance(p, t)) : 1 - t));
  const lambda = times.map((t, i) => (t > 0 && deviation[i] > 0 ? Math.log(t / deviation[i]) : NaN));

  const drift = (at: Points, t: number, last: boolean): Points => {
    const said = ask(at, t);
    if (s.sampler === "published") {
      const x1 = dataPrediction(at, t, said);
      const push = momentum(f, at, t, said, gammas);
      const factor = Math.sqrt(Math.max(0, 1 - (gammas[0] + gammas[1] + gammas[2]) * std(p, t) ** 2)) / (1 - t);
      return at.map((v, i) => factor * (x1[i] - v) + push[i]);
    }
    if (s.sampler === "bridge" && !last) {
      const x1 = dataPrediction(at, t, said);
      return at.map((v, i) => (x1[i] - v) / (1 - t));
    }
    const v = velocity(p, at, t, said);
    if (s.sampler === "momentum") {
      const push = momentum(f, at, t, said, gammas);
      return v.map((w, i) => w + push[i]);
    }
    if (s.sampler === "matched" && s.gamma1 && !last) {
      const eta = s.gamma1 * std(p, t) ** 2;
      const grad = score(p, at, t, said);
      return v.map((w, i) => w + eta * grad[i]);
    }
    return v;
  };

  for (let k = 0; k < rules.length; k++) {
    const t = times[k];
    const h = times[k + 1] - t;
    if (s.sampler === "multistep") {
      const x1 = dataPrediction(x, t, ask(x, t));
      let target = x1;
      if (k >= 2 && k < s.nfe - 1) {
        const ahead = (lambda[k + 1] - lambda[k]) / (2 * (lambda[k] - lambda[k - 1]));
        target = x1.map((v, i) => v + ahead * (v - last[0][i]));
      }
      last[0] = x1;
      const keep = deviation[k + 1] / deviation[k];
      x = x.map((v, i) => keep * v + (t + h - keep * t) * target[i]);
    } else if (rules[k] === "taylor2") {
      const w = drift(x, t, false);
      calls++; // the second one carries a tangent along
      const slope = f.velocitySlope(x, t, w);
      x = x.map((v, i) => v + h * w[i] + (h * h * slope[i]) / 2);
    } else {
      // the last step of those with noise follows the plain flow, whose samples end without fresh noise
      const last = k === rules.length - 1;
      const [rows, weights] = ROWS[rules[k]];
      const slopes = [drift(x, t, last)];
      for (const row of rows) {
        const at = x.map((v, i) => v + h * row.reduce((sum, a, j) => sum + (a ? a * slopes[j][i] : 0), 0));
        slopes.push(drift(at, t + row.reduce((a, b) => a + b, 0) * h, last));
      }
      x = x.map((v, i) => v + h * weights.reduce((sum, b, j) => sum + (b ? b * slopes[j][i] : 0), 0));
      if ((s.sampler === "matched" || s.sampler === "bridge") && !last) {
        const eta = s.sampler === "bridge" ? pull(p, t) : s.gamma1 * std(p, t) ** 2;
        const size = Math.sqrt(2 * eta * h);
        if (size) {
          const noise = draw(k);
          x = x.map((v, i) => v + size * noise[i]);
        }
      }
    }
    if (!x.every((v) => Math.abs(v) <= LIMIT)) {
      throw new Error(`The samples diverged in step ${k + 1} of ${rules.length}: lower γ or σ0, or use more network calls.`);
    }
    states.push(x);
  }
  return { times, states, calls };
}
