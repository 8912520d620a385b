/**
 * W7: ten maps over a million parts with a slow consumer; a process a variant, so that peaks do not mix.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { each, type Part, pipe, run } from "../../src/index.ts";
import { part, tenMaps } from "./parts.ts";

const total = 1_000_000;
const names = ["LIMIT", "millrace", "native generators"] as const;

/** What one variant took. */
export interface Memory {
  readonly name: string;
  /** Peak of the process, in MB. */
  readonly peakMb: number;
  /** Parts given by the source and not seen by the consumer, at most. */
  readonly lag: number;
  /** Bytes of heap kept a part when all is over and collected. */
  readonly retained: number;
}

/** Runs each variant in a process of its own. */
export function w7(): Memory[] {
  return names.map((name) => {
    const out = execFileSync(process.execPath, ["--expose-gc", import.meta.filename, name], { encoding: "utf8" });
    return JSON.parse(out) as Memory;
  });
}

async function measure(name: string): Promise<Memory> {
  let given = 0;
  let seen = 0;
  let lag = 0;
  async function* source(): AsyncGenerator<Part> {
    for (; given < total; given += 1) {
      lag = Math.max(lag, given - seen);
      yield part(given);
    }
  }
  const fns = tenMaps();
  const streams: Readonly<Record<string, () => AsyncIterable<Part>>> = {
    millrace: () => run(pipe(...fns.map((fn) => each(fn))), source()),
    "native generators": () =>
      fns.reduce<AsyncIterable<Part>>(
        (stream, fn) =>
          (async function* () {
            for await (const made of stream) yield fn(made);
          })(),
        source(),
      ),
    LIMIT: async function* () {
      for await (const made of source()) yield fns.reduce((current, fn) => fn(current), made);
    },
  };
  const collect = (globalThis as { gc?: () => void }).gc;
  collect?.();
  const before = process.memoryUsage().heapUsed;
  const stream = streams[name];
  if (stream === undefined) throw new Error(`no variant ${name}`);
  for await (const _ of stream()) {
    seen += 1;
    if (seen % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  if (seen !== total) throw new Error(`${name}: ${seen} of ${total} parts`);
  collect?.();
  const retained = Math.max(0, process.memoryUsage().heapUsed - before) / total;
  return { name, peakMb: process.resourceUsage().maxRSS / 1_024, lag, retained };
}

if (process.argv[1] === import.meta.filename) console.log(JSON.stringify(await measure(process.argv[2] ?? "")));
