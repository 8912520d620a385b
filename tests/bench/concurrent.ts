/**
 * W4 (ordered concurrent map) and W5 (fan-out to four branches).
 *
 * @module
 */
import { Readable } from "node:stream";
import { Effect, Stream } from "effect";
import pMap, { pMapIterable } from "p-map";
import * as rx from "rxjs";
import * as si from "streaming-iterables";
import { each, interleave, parallel, type Part, pipe, run } from "../../src/index.ts";
import type { Variant } from "./measure.ts";
import { asyncSource, Checksum, forAwait, part, readySource, tenMaps, valueOf } from "./parts.ts";

/** Counts calls in flight; more than the limit, and the variant is dropped. */
function counted(limit: number, work: (value: number) => Promise<unknown>): (made: Part) => Promise<Part> {
  let now = 0;
  return async (made) => {
    now += 1;
    if (now > limit) throw new Error(`had ${now} calls in flight, the limit is ${limit}`);
    await work(valueOf(made));
    now -= 1;
    return part(valueOf(made) + 1);
  };
}

const works: Readonly<Record<string, { readonly parts: number; readonly work: (value: number) => Promise<unknown> }>> = {
  microtask: { parts: 20_000, work: () => Promise.resolve() },
  "0 to 2 setImmediate": {
    parts: 4_000,
    work: async (value) => {
      for (let left = value % 3; left > 0; left -= 1) await new Promise((resolve) => setImmediate(resolve));
    },
  },
};

/** W4: C calls at once, outputs in order. */
export function w4(concurrency: number, name: keyof typeof works & string): Variant[] {
  const { parts, work } = works[name] ?? { parts: 0, work: async () => {} };
  const ordered = async (stream: AsyncIterable<Part>): Promise<string> => {
    const checksum = new Checksum();
    let last = -1;
    for await (const made of stream) {
      if (valueOf(made) <= last) throw new Error("is out of order");
      last = valueOf(made);
      checksum.add(made);
    }
    return checksum.toString();
  };
  const variant = (label: string, stream: () => AsyncIterable<Part>): Variant => ({ name: label, group: "for await", parts, run: () => ordered(stream()) });
  const fn = (): ((made: Part) => Promise<Part>) => counted(concurrency, work);
  const stage = (): ((made: Part) => Promise<Part>) => fn();
  return [
    {
      name: "LIMIT",
      group: "for await",
      parts,
      async run() {
        const source = readySource(parts);
        const out: Part[] = [];
        const call = fn();
        let next = 0;
        const worker = async (): Promise<void> => {
          for (let at = next++; at < source.length; at = next++) out[at] = await call(source[at] as Part);
        };
        await Promise.all(Array.from({ length: concurrency }, worker));
        const checksum = new Checksum();
        for (const made of out) checksum.add(made);
        return checksum.toString();
      },
    },
    variant("millrace", () => run(each(stage(), { concurrency }), readySource(parts))),
    variant("millrace, async source", () => run(each(stage(), { concurrency }), asyncSource(parts))),
    variant("p-map iterable", () => pMapIterable(readySource(parts), fn(), { concurrency })),
    { name: "p-map, all at the end", group: "for await", parts, run: async () => ordered(run(pipe(), await pMap(readySource(parts), fn(), { concurrency }))) },
    variant("streaming-iterables", () => si.parallelMap(concurrency, fn(), readySource(parts))),
    variant("Node streams", () => Readable.from(readySource(parts)).map(fn(), { concurrency })),
    variant("effect", () => {
      const call = fn();
      return Stream.toAsyncIterable(Stream.mapEffect(Stream.fromIterable(readySource(parts)), (made) => Effect.promise(() => call(made)), { concurrency }));
    }),
    {
      name: "rxjs mergeMap (unordered)",
      group: "push",
      parts,
      async run() {
        const checksum = new Checksum();
        const call = fn();
        await rx.from(readySource(parts)).pipe(rx.mergeMap(call, concurrency)).forEach((made) => checksum.add(made));
        return checksum.toString();
      },
    },
  ];
}

/** W5: the same part to four one-to-one branches, their outputs in any order. */
export function w5(): Variant[] {
  const parts = 20_000;
  const fns = tenMaps().slice(0, 4);
  const opaque = fns.map((fn) =>
    async function* (input: AsyncIterable<Part>) {
      for await (const made of input) yield fn(made);
    },
  );
  const variant = (name: string, stream: () => AsyncIterable<Part>): Variant => ({ name, group: "for await", parts, run: () => forAwait(stream()) });
  const fused = parallel(...fns.map((fn) => each(fn)));
  const seen = interleave(...opaque);
  return [
    {
      name: "LIMIT",
      group: "for await",
      parts,
      async run() {
        const checksum = new Checksum();
        for await (const made of asyncSource(parts)) for (const fn of fns) checksum.add(fn(made));
        return checksum.toString();
      },
    },
    variant("millrace, part functions", () => run(fused, asyncSource(parts))),
    variant("millrace, interleave of opaque branches", () => run(seen, asyncSource(parts))),
    variant("millrace, parallel of opaque branches", () => run(parallel(...opaque), asyncSource(parts))),
    variant("Web streams, tee and race", () => teeAndMerge(opaque, parts)),
    {
      name: "rxjs",
      group: "push",
      parts,
      async run() {
        const checksum = new Checksum();
        const source = rx.from(asyncSource(parts)).pipe(rx.share());
        await rx.merge(...fns.map((fn) => source.pipe(rx.map(fn)))).forEach((made) => checksum.add(made));
        return checksum.toString();
      },
    },
  ];
}

/** What is written by hand without a library: unbounded copies, and a race among the branches. */
async function* teeAndMerge(branches: readonly ((input: AsyncIterable<Part>) => AsyncGenerator<Part>)[], parts: number): AsyncGenerator<Part> {
  const from = (ReadableStream as unknown as { from(source: AsyncIterable<Part>): ReadableStream<Part> }).from(asyncSource(parts));
  const [a, b] = from.tee();
  const streams = [...a.tee(), ...b.tee()];
  const pending = new Map(branches.map((branch, i) => {
    const iterator = branch(streams[i] as unknown as AsyncIterable<Part>);
    return [iterator, iterator.next()] as const;
  }));
  while (pending.size > 0) {
    const { iterator, result } = await Promise.race([...pending].map(async ([iterator, next]) => ({ iterator, result: await next })));
    if (result.done === true) pending.delete(iterator);
    else {
      pending.set(iterator, iterator.next());
      yield result.value;
    }
  }
}
