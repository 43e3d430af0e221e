// Standard normal noise exactly as `foundation.noise` draws it: torch's Mersenne Twister and its two normal transforms.

/** Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded as torch's CPU generator is. */
export class Twister {
  private readonly state = new Uint32Array(624);
  private at = 624;

  constructor(seed: number) {
    const s = this.state;
    s[0] = seed >>> 0;
    for (let i = 1; i < 624; i++) s[i] = Math.imul(1812433253, s[i - 1] ^ (s[i - 1] >>> 30)) + i;
  }

  /** A whole number in [0, 2^32). */
  next(): number {
    const s = this.state;
    if (this.at >= 624) {
      for (let i = 0; i < 624; i++) {
        const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
        s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.at = 0;
    }
    let y = s[this.at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** Uniform on [0, 1) with 24 bits: torch's float32 uniform. */
  single(): number {
    return (this.next() & 0xffffff) / 0x1000000;
  }

  /** Uniform on [0, 1) with 53 bits of two draws, the high word first: torch's float64 uniform. */
  double(): number {
    const high = this.next() & 0x1fffff;
    return (high * 0x100000000 + this.next()) / 0x20000000000000;
  }
}

const TURN = Math.fround(2 * Math.PI);

/** Sixteen uniforms at `at` become sixteen normals (Box and Muller), in single precision. */
function boxMuller(data: Float32Array, at: number): void {
  for (let j = at; j < at + 8; j++) {
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(Math.fround(1 - data[j]))))));
    const angle = Math.fround(TURN * data[j + 8]);
    data[j] = radius * Math.fround(Math.cos(angle));
    data[j + 8] = radius * Math.fround(Math.sin(angle));
  }
}

/** `n` standard normal numbers of a seed, as torch.randn draws a float32 tensor of so many elements. */
export function normals(seed: number, n: number): Float32Array {
  const twister = new Twister(seed);
  const out = new Float32Array(n);
  if (n >= 16) {
    for (let i = 0; i < n; i++) out[i] = twister.single();
    for (let i = 0; i + 16 <= n; i += 16) boxMuller(out, i);
    if (n % 16) {
      for (let i = n - 16; i < n; i++) out[i] = twister.single(); // the last sixteen are drawn anew
      boxMuller(out, n - 16);
    }
    return out;
  }
  for (let i = 0; i < n; i += 2) {
    const angle = 2 * Math.PI * twister.double();
    const radius = Math.sqrt(-2 * Math.log1p(-twister.double()));
    out[i] = radius * Math.cos(angle);
    if (i + 1 < n) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

const WORD = 0xffffffffffffffffn;
export const MAX_SEED = 0xffffffff;

/** A seed from several whole numbers: splitmix64 steps, as `foundation.randomness.derived_seed`. */
export function derivedSeed(...parts: number[]): number {
  let state = 0n;
  for (const part of parts) {
    state = ((state ^ BigInt(part)) + 0x9e3779b97f4a7c15n) & WORD;
    state = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & WORD;
    state = ((state ^ (state >> 27n)) * 0x94d049bb133111ebn) & WORD;
    state ^= state >> 31n;
  }
  return Number(state & 0xffffffffn);
}
