// Asks the page's flow worker what the file that is named asks, and prints where the points end, as JSON.

import { readFileSync } from "node:fs";

const { folder, asked } = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const forms = JSON.parse(readFileSync(`${folder}/flow.json`, "utf-8"));
const bytes = readFileSync(`${folder}/flow.bin`);
const weights = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const answers: unknown[] = [];
const scope = {
  onmessage: (_: { data: unknown }): unknown => undefined,
  postMessage(m: { type: string; message?: string; run?: { trajectories: Float32Array; nfe: number; times: number[]; mmd2: number } }) {
    if (m.type !== "run") return answers.push(m.message);
    const { trajectories, nfe, times, mmd2 } = m.run!;
    answers.push({ end: Array.from(trajectories.slice(trajectories.length - trajectories.length / times.length)), nfe, times, mmd2 });
  },
};
Object.assign(globalThis, { self: scope });
await import("../../web/src/flow/worker");
await scope.onmessage({ data: { type: "open", densities: forms.densities, nets: forms.nets, weights } });
for (const { shared, setting } of asked) await scope.onmessage({ data: { type: "run", id: 0, shared, setting } });
console.log(JSON.stringify(answers));
