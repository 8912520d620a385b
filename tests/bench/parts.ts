/**
 * The parts and part functions of the workloads. Functions come from source text, a fresh copy for each variant, so that no variant
 * warms up another's.
 *
 * @module
 */
import type { Part } from "../../src/index.ts";

/** A part function that gives one part, several or none. */
export type Fn = (part: Part) => Part;
export type SpreadFn = (part: Part) => Part[] | Part | undefined;

const metadata = Object.freeze({});

export function part(value: number): Part {
  return { kind: "json", mimeType: "application/json", role: "user", substream: "", metadata, value };
}

export const valueOf = (made: Part): number => (made.kind === "json" ? Number(made.value) : 0);

const literal = (value: string): string =>
  `{ kind: "json", mimeType: p.mimeType, role: p.role, substream: p.substream, metadata: p.metadata, value: ${value} }`;

const make = (source: string): unknown => new Function(`return ${source}`)(); // fresh code, as said above

/** W1, W2: ten one-to-one functions. */
export const tenMaps = (): Fn[] => Array.from({ length: 10 }, (_, i) => make(`(p) => (${literal(`p.value + ${i + 1}`)})`) as Fn);

/** W3: five times one-to-two, then keep the even. */
export const fiveExpansions = (): { readonly twice: SpreadFn; readonly even: (part: Part) => boolean }[] =>
  Array.from({ length: 5 }, () => ({
    twice: make(`(p) => [p, ${literal("p.value + 1")}]`) as SpreadFn,
    even: make(`(p) => p.value % 2 === 0`) as (part: Part) => boolean,
  }));

export async function* asyncSource(count: number): AsyncGenerator<Part> {
  for (let i = 0; i < count; i += 1) yield part(i);
}

export const readySource = (count: number): Part[] => Array.from({ length: count }, (_, i) => part(i));

/** Count and sum: what every variant of a workload must agree on. */
export class Checksum {
  count = 0;
  sum = 0;
  add(made: Part): void {
    this.count += 1;
    this.sum += valueOf(made);
  }
  toString(): string {
    return `${this.count} parts, sum ${this.sum}`;
  }
}

// The engine forgets the shape of a class at a collection that finds no instance, and every consumer would be compiled anew in
// each sample. The sum of the one that is kept is no small integer, as the sums of the workloads will not be.
const kept = new Checksum();
kept.sum = 2 ** 40;
export const keptChecksum: Checksum = kept;

/** The consumer of the `for await` group. */
export async function forAwait(stream: AsyncIterable<Part>): Promise<string> {
  const checksum = new Checksum();
  for await (const made of stream) checksum.add(made);
  return checksum.toString();
}
