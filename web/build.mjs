// Builds the page into analysis/export/web_page, from where `python -m analysis.export.web` copies it; or into the folder
// that is named.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = process.argv[2] ?? here("../analysis/export/web_page");
const common = { bundle: true, minify: true, target: "es2022", legalComments: "eof", logLevel: "warning" };
const engine = (provider, name) =>
  build({
    ...common,
    entryPoints: [here("src/engine.ts")],
    outfile: `${out}/${name}.js`,
    format: "esm",
    // not the package's own bundle: that holds the loader once more, which lies beside the wasm
    alias: { "#ort": here(`node_modules/onnxruntime-web/dist/ort.${provider}.min.mjs`) },
    define: { __PROVIDER__: JSON.stringify(provider) },
  });

await mkdir(out, { recursive: true });
await engine("wasm", "engine");
await engine("webgpu", "engine-gpu");
await build({ ...common, entryPoints: [here("src/flow/worker.ts")], outfile: `${out}/flow.js`, format: "iife" });
await build({ ...common, entryPoints: [here("src/main.ts")], outfile: `${out}/page.js`, format: "iife" });
await build({ ...common, entryPoints: [here("src/sw.ts")], outfile: `${out}/sw.js`, format: "iife" });
await build({ ...common, entryPoints: [here("src/page.css")], outfile: `${out}/page.css` });
for (const file of ["index.html", "licences.txt"]) await copyFile(here(`src/${file}`), `${out}/${file}`);
