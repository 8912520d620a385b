/**
 * Counts of the last while, in ten buckets: what is older falls out a tenth at a time, and nothing is kept per call.
 *
 * @module
 */

const buckets = 10;

/** Calls and failures of the last `windowMs`, give or take a tenth. */
export class BreakerWindow {
  private readonly bucketMs: number;
  private readonly calls = Array.from({ length: buckets }, () => 0);
  private readonly failures = Array.from({ length: buckets }, () => 0);
  /** Number of the bucket that is being filled, counted from the clock's zero. */
  private latest = 0;

  constructor(windowMs: number) {
    this.bucketMs = windowMs / buckets;
  }

  add(failed: boolean, nowMs: number): void {
    this.turnTo(nowMs);
    const at = this.latest % buckets;
    this.calls[at] = (this.calls[at] ?? 0) + 1;
    if (failed) this.failures[at] = (this.failures[at] ?? 0) + 1;
  }

  counts(nowMs: number): { readonly calls: number; readonly failures: number } {
    this.turnTo(nowMs);
    return { calls: sum(this.calls), failures: sum(this.failures) };
  }

  clear(): void {
    this.calls.fill(0);
    this.failures.fill(0);
  }

  /** Empties the buckets whose time has come again. */
  private turnTo(nowMs: number): void {
    const bucket = Math.floor(nowMs / this.bucketMs);
    for (let passed = Math.min(bucket - this.latest, buckets); passed > 0; passed -= 1) {
      const at = (bucket - passed + 1) % buckets;
      this.calls[at] = this.failures[at] = 0;
    }
    this.latest = bucket;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
