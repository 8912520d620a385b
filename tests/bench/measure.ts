/**
 * Measuring: processor time of whole samples, in rounds in which every variant comes once, in a new order.
 *
 * @module
 */

/** One way to do a workload. */
export interface Variant {
  readonly name: string;
  /** Who consumes: a `for await` loop, or a callback. The two are never compared. */
  readonly group: "for await" | "push";
  /** Parts in a run. */
  readonly parts: number;
  /** Makes ready for one run, in nobody's time; a sample is one run then. */
  before?(): Promise<void>;
  /** Does the work once and gives its checksum. */
  run(): Promise<string>;
}

/** What was measured of a variant, in nanoseconds of processor time a part. */
export interface Sample {
  readonly name: string;
  readonly group: Variant["group"];
  readonly median: number;
  readonly lower: number;
  readonly upper: number;
}

export interface Result {
  readonly samples: readonly Sample[];
  /** Variants that did not keep the contract of the workload, and why. */
  readonly dropped: readonly { readonly name: string; readonly reason: string }[];
}

/** A sample shorter than this is repeated: the clock steps by about 1 us, the collector comes in bursts. */
const minSampleMs = 15;
const warmUpRounds = 2;
const longestMs = 20_000;

const collect = (globalThis as { gc?: () => void }).gc;

/** User and system time of the whole process, collector and compiler threads included. */
function cpuNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1_000;
}

/** The time of the wall, for work that another process does its part of. */
export function wallNs(): number {
  return performance.now() * 1e6;
}

/** Stops the run where the clock is too coarse to mean anything. */
export function checkClock(): string {
  const start = cpuNs();
  let step = 0;
  while (step === 0) step = cpuNs() - start;
  if (step > minSampleMs * 1e6 * 0.01) throw new Error(`the processor clock steps by ${step} ns: more than 1 % of a sample`);
  return `${(step / 1_000).toFixed(0)} us`;
}

/** Measures variants against each other; every checksum is compared with the first variant's. */
export async function measure(variants: readonly Variant[], rounds: number, clock: () => number = cpuNs): Promise<Result> {
  const times = new Map(variants.map((variant) => [variant, [] as number[]]));
  const dropped: { name: string; reason: string }[] = [];
  const first = variants[0];
  await first?.before?.();
  const expected = first === undefined ? "" : await first.run();
  for (let round = -warmUpRounds; round < rounds; round += 1) {
    for (const variant of shuffled([...times.keys()])) {
      try {
        await variant.before?.();
        // a sample of a second collects by itself; a collection before it would make the engine forget what it has compiled, which no service does
        if (variant.before === undefined) collect?.();
        const start = clock();
        let runs = 0;
        do {
          const checksum = await limited(variant.run());
          if (checksum !== expected) throw new Error(`gave ${checksum}, not ${expected}`);
          runs += 1;
        } while (variant.before === undefined && clock() - start < minSampleMs * 1e6);
        if (round >= 0) times.get(variant)?.push((clock() - start) / runs / variant.parts);
      } catch (error) {
        times.delete(variant);
        dropped.push({ name: `${variant.name} (${variant.group})`, reason: error instanceof Error ? error.message : String(error) });
      }
    }
  }
  return { samples: [...times].map(([variant, all]) => summary(variant, all)), dropped };
}

async function limited(work: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`has not ended after ${longestMs / 1_000} s`)), longestMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function summary({ name, group }: Variant, times: readonly number[]): Sample {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { name, group, median: at(0.5), lower: at(0.25), upper: at(0.75) };
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T]; // both are inside
  }
  return items;
}

/** Do the quartiles of two samples keep apart? */
export function established(a: Sample, b: Sample): boolean {
  return a.upper < b.lower || b.upper < a.lower;
}
