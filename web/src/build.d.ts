declare const __PROVIDER__: "wasm" | "webgpu"; // set by build.mjs
