// PNG files: pictures that carry a recipe in a text chunk, and 8-bit grey masks inside a recipe.

import { h } from "./dom";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const KEY = "koopman-studio-recipe"; // of the text chunk, as the studio reads it

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const b of bytes) c = TABLE[(c ^ b) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc(out.subarray(4, 8 + data.length)));
  return out;
}

async function zlib(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A PNG of `channels` bytes a pixel (1 grey, 3 colour), with a recipe inside where there is one. */
export async function encode(pixels: Uint8Array, width: number, channels: 1 | 3, recipe?: string): Promise<Uint8Array<ArrayBuffer>> {
  const height = pixels.length / channels / width;
  const row = width * channels;
  const raw = new Uint8Array(height * (row + 1)); // each row begins with its filter, 0 = none
  for (let i = 0; i < height; i++) raw.set(pixels.subarray(i * row, (i + 1) * row), i * (row + 1) + 1);
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const parts = [Uint8Array.from(SIGNATURE), chunk("IHDR", head)];
  if (recipe) parts.push(chunk("tEXt", new TextEncoder().encode(`${KEY}\0${recipe}`)));
  parts.push(chunk("IDAT", await zlib(raw)), chunk("IEND", new Uint8Array()));
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

/** The recipe inside a PNG, null where there is none. */
export function recipeIn(bytes: Uint8Array): string | null {
  if (SIGNATURE.some((b, i) => bytes[i] !== b)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at + 12 + length > bytes.length) return null;
    const text = type === "tEXt" ? new TextDecoder("latin1").decode(bytes.subarray(at + 8, at + 8 + length)) : "";
    if (text.startsWith(`${KEY}\0`)) return text.slice(KEY.length + 1);
    at += 12 + length;
  }
  return null;
}

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += String.fromCharCode(b);
  return btoa(text);
}

/** Pixels of a picture file, `channels` of their RGBA (1 = the first alone); null size keeps the file's own. */
export async function pixelsOf(file: Blob, channels: 1 | 3, side: number | null = null): Promise<{ width: number; height: number; pixels: Uint8Array }> {
  const image = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const canvas = h("canvas", { width: side ?? image.width, height: side ?? image.height });
  const ctx = canvas.getContext("2d", { willReadFrequently: true })!;
  if (side) cropped(ctx, image, side);
  else ctx.drawImage(image, 0, 0);
  const { data } = ctx.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = Uint8Array.from({ length: (data.length / 4) * channels }, (_, i) => data[4 * Math.floor(i / channels) + (i % channels)]);
  return { width: canvas.width, height: canvas.height, pixels };
}

/** The square in the middle of a picture, brought to a size: halved until the last step, since one step skips pixels. */
function cropped(ctx: CanvasRenderingContext2D, image: ImageBitmap, side: number): void {
  let size = Math.min(image.width, image.height);
  let source: CanvasImageSource = image;
  let [x, y] = [(image.width - size) / 2, (image.height - size) / 2];
  while (size >= 2 * side) {
    const half = h("canvas", { width: Math.floor(size / 2), height: Math.floor(size / 2) });
    half.getContext("2d")!.drawImage(source, x, y, size, size, 0, 0, half.width, half.height);
    [source, size, x, y] = [half, half.width, 0, 0];
  }
  ctx.fillStyle = "#fff"; // behind what is transparent
  ctx.fillRect(0, 0, side, side);
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(source, x, y, size, size, 0, 0, side, side);
}
