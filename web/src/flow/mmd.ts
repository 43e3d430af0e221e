// Distance of two sets of points.

/** Unbiased squared MMD with the kernel exp(-d^2 / 2). */
export class Mmd {
  private readonly own: number;

  constructor(private readonly reference: ArrayLike<number>) {
    this.own = this.within(reference);
  }

  private sum(x: ArrayLike<number>, y: ArrayLike<number>): number {
    let total = 0;
    for (let i = 0; i < x.length; i += 2) {
      for (let j = 0; j < y.length; j += 2) {
        const d = (x[i] - y[j]) ** 2 + (x[i + 1] - y[j + 1]) ** 2;
        if (d < 70) total += Math.exp(-0.5 * d);
      }
    }
    return total;
  }

  private within(x: ArrayLike<number>): number {
    const n = x.length / 2;
    return (this.sum(x, x) - n) / (n * (n - 1));
  }

  unbiased(x: ArrayLike<number>): number {
    const cross = this.sum(x, this.reference) / ((x.length / 2) * (this.reference.length / 2));
    return this.within(x) + this.own - 2 * cross;
  }
}
