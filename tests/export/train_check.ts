// Trains the page's net for some steps on two squares and prints what its flow ends with, as JSON.

import { drawn } from "../../web/src/flow/density";
import { pathOf } from "../../web/src/flow/flows";
import { Mmd } from "../../web/src/flow/mmd";
import { follow } from "../../web/src/flow/samplers";
import { Training } from "../../web/src/flow/train";
import { normals, Twister } from "../../web/src/noise";

const [steps, path] = [Number(process.argv[2]), process.argv[3]];
const squares = (i: number, j: number) => Math.max(Math.abs(Math.abs((2 * j + 1) / 24 - 1) - 0.5), Math.abs((2 * i + 1) / 24 - 1)) < 0.28;
const rows = Array.from({ length: 24 }, (_, i) => Array.from({ length: 24 }, (_, j) => Number(squares(i, j))).join(""));
const density = drawn(rows);
const training = new Training(density, pathOf(path, 0.2), 0);
for (let k = 0; k < steps; k++) training.advance(k / steps);
const noise = Float64Array.from(normals(1, 1024));
const setting = { path: "idff", sampler: "heun", nfe: 15, sigma0: 0.2, gamma1: 0, gamma2: 0, gamma3: 0, net: "" } as const;
const { states } = follow(training.result(), noise, setting, "uniform", () => noise);
const mmd = new Mmd(density.sample(2048, new Twister(9)));
const inside = Array.from({ length: 512 }, (_, i) => density.logProb(states.at(-1)![2 * i], states.at(-1)![2 * i + 1]) > -Infinity);
console.log(JSON.stringify({ rows, noise: mmd.unbiased(noise), trained: mmd.unbiased(states.at(-1)!), inside: inside.filter(Boolean).length / 512, points: Array.from(states.at(-1)!) }));
