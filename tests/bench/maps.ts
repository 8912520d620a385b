/**
 * W1 (ten maps, async source), W2 (ten maps, array) and W3 (five times one-to-two and keep half), by millrace and its peers.
 *
 * @module
 */
import { Readable } from "node:stream";
import { RunnableLambda } from "@langchain/core/runnables";
import * as most from "@most/core";
import { newDefaultScheduler } from "@most/scheduler";
import { Effect, Stream } from "effect";
import itFilter from "it-filter";
import itMap from "it-map";
import { pipe as itPipe } from "it-pipe";
import * as ix from "ix/asynciterable";
import * as ixOps from "ix/asynciterable/operators";
import * as rx from "rxjs";
import * as si from "streaming-iterables";
import * as wonka from "wonka";
import { each, filter, type Part, pipe, run } from "../../src/index.ts";
import type { Variant } from "./measure.ts";
import { asyncSource, Checksum, fiveExpansions, type Fn, forAwait, readySource, type SpreadFn, tenMaps } from "./parts.ts";

type Input = () => AsyncIterable<Part> | Part[];
/** A pipeline in each library's own words, built once a variant. */
type Pull = (input: AsyncIterable<Part> | Part[]) => AsyncIterable<Part>;
type Push = (input: AsyncIterable<Part> | Part[], sink: (part: Part) => void) => Promise<unknown>;
type Step = { readonly map: Fn } | { readonly spread: SpreadFn } | { readonly keep: (part: Part) => boolean };

const mapSteps = (): Step[] => tenMaps().map((map) => ({ map }));
const expandSteps = (): Step[] => fiveExpansions().flatMap(({ twice, even }) => [{ spread: twice }, { keep: even }]);
const spread = (fn: SpreadFn) => (part: Part): Part[] => {
  const made = fn(part);
  return made === undefined ? [] : Array.isArray(made) ? made : [made];
};

const millrace = (steps: Step[]) => pipe(...steps.map((step) => ("map" in step ? each(step.map) : "spread" in step ? each(step.spread) : filter(step.keep))));

/** Everything inlined by hand into one loop, consumer included: what could not be done better. */
function limit(steps: Step[]): (input: AsyncIterable<Part> | Part[]) => Promise<string> {
  const fns = steps.map((step) => ("map" in step ? step.map : "spread" in step ? step.spread : step.keep));
  const body = (at: number): string => {
    const step = steps[at];
    if (step === undefined) return `count++; sum += p${at}.value;`;
    if ("map" in step) return `const p${at + 1} = f${at}(p${at}); ${body(at + 1)}`;
    if ("keep" in step) return `if (f${at}(p${at})) { const p${at + 1} = p${at}; ${body(at + 1)} }`;
    return `for (const p${at + 1} of f${at}(p${at})) { ${body(at + 1)} }`;
  };
  const loop = (head: string): string => `let count = 0, sum = 0; for ${head} { ${body(0)} } return count + " parts, sum " + sum;`;
  const names = fns.map((_, i) => `f${i}`);
  const make = (source: string): unknown => new Function(...names, `return ${source}`)(...fns);
  const overStream = make(`async (s) => { ${loop("await (const p0 of s)")} }`) as (input: AsyncIterable<Part> | Part[]) => Promise<string>;
  return overStream;
}

const naive = (steps: Step[]): Pull => {
  const stages = steps.map((step) =>
    "map" in step
      ? async function* (input: AsyncIterable<Part>) { for await (const part of input) yield step.map(part); }
      : "spread" in step
        ? async function* (input: AsyncIterable<Part>) { for await (const part of input) yield* spread(step.spread)(part); }
        : async function* (input: AsyncIterable<Part>) { for await (const part of input) if (step.keep(part)) yield part; },
  );
  return (input) => stages.reduce<AsyncIterable<Part>>((stream, stage) => stage(stream), Array.isArray(input) ? asyncOf(input) : input);
};

async function* asyncOf(parts: Iterable<Part>): AsyncGenerator<Part> {
  yield* parts;
}

const pulls: Readonly<Record<string, (steps: Step[]) => Pull>> = {
  millrace: (steps) => {
    const pipeline = millrace(steps);
    return (input) => run(pipeline, input);
  },
  "native generators": naive,
  ix: (steps) => (input) =>
    steps.reduce<ix.AsyncIterableX<Part>>(
      (stream, step) => stream.pipe("map" in step ? ixOps.map(step.map) : "keep" in step ? ixOps.filter(step.keep) : ixOps.concatMap((part: Part) => ix.from(spread(step.spread)(part)))),
      ix.from(input),
    ),
  "streaming-iterables": (steps) => (input) =>
    steps.reduce<AsyncIterable<Part>>(
      (stream, step) => ("map" in step ? si.map(step.map, stream) : "keep" in step ? si.filter(step.keep, stream) : (si.flatMap(spread(step.spread), stream) as AsyncIterable<Part>)),
      Array.isArray(input) ? asyncOf(input) : input,
    ),
  "it-pipe": (steps) => (input) =>
    steps.reduce<AsyncIterable<Part>>(
      (stream, step) =>
        "map" in step
          ? itPipe(stream, (source) => itMap(source, step.map))
          : "keep" in step
            ? itPipe(stream, (source) => itFilter(source, step.keep))
            : itPipe(stream, async function* (source) { for await (const part of source) yield* spread(step.spread)(part); }),
      Array.isArray(input) ? asyncOf(input) : input,
    ),
  effect: (steps) => (input) => Stream.toAsyncIterable(effectStream(steps, input)),
  wonka: (steps) => (input) => wonka.toAsyncIterable(wonkaSource(steps, input)),
  "Node streams": (steps) => (input) =>
    steps.reduce<Readable>(
      (stream, step) => ("map" in step ? stream.map(step.map) : "keep" in step ? stream.filter(step.keep) : stream.flatMap(spread(step.spread))),
      Readable.from(input),
    ),
  "Web streams": (steps) => (input) =>
    steps.reduce<ReadableStream<Part>>((stream, step) => stream.pipeThrough(transform(step)), webSource(input)),
};

/** A web stream of an iterable; the types of the runtime do not know `from` yet. */
function webSource(input: AsyncIterable<Part> | Part[]): ReadableStream<Part> {
  return (ReadableStream as unknown as { from(source: AsyncIterable<Part> | Part[]): ReadableStream<Part> }).from(input);
}

function transform(step: Step): TransformStream<Part, Part> {
  return new TransformStream({
    transform(part, controller) {
      if ("map" in step) controller.enqueue(step.map(part));
      else if ("keep" in step) {
        if (step.keep(part)) controller.enqueue(part);
      } else for (const made of spread(step.spread)(part)) controller.enqueue(made);
    },
  });
}

function effectStream(steps: Step[], input: AsyncIterable<Part> | Part[]): Stream.Stream<Part, unknown> {
  const source: Stream.Stream<Part, unknown> = Array.isArray(input) ? Stream.fromIterable(input) : Stream.fromAsyncIterable(input, (error) => error);
  return steps.reduce<Stream.Stream<Part, unknown>>(
    (stream, step) =>
      "map" in step ? Stream.map(stream, step.map) : "keep" in step ? Stream.filter(stream, step.keep) : Stream.flatMap(stream, (part) => Stream.fromIterable(spread(step.spread)(part))),
    source,
  );
}

function wonkaSource(steps: Step[], input: AsyncIterable<Part> | Part[]): wonka.Source<Part> {
  return steps.reduce<wonka.Source<Part>>(
    (stream, step) =>
      "map" in step ? wonka.map(step.map)(stream) : "keep" in step ? wonka.filter(step.keep)(stream) : wonka.concatMap((part: Part) => wonka.fromArray(spread(step.spread)(part)))(stream),
    Array.isArray(input) ? wonka.fromArray(input) : wonka.fromAsyncIterable(input),
  );
}

const pushes: Readonly<Record<string, (steps: Step[]) => Push>> = {
  millrace: (steps) => {
    const pipeline = millrace(steps);
    return (input, sink) => run(pipeline, input).forEach(sink);
  },
  rxjs: (steps) => (input, sink) =>
    steps
      .reduce<rx.Observable<Part>>(
        (stream, step) => stream.pipe("map" in step ? rx.map(step.map) : "keep" in step ? rx.filter(step.keep) : rx.concatMap(spread(step.spread))),
        rx.from(input),
      )
      .forEach(sink),
  "@most/core": (steps) => (input, sink) => {
    const source = {
      run(target: { event(time: number, value: Part): void; end(time: number): void; error(time: number, error: Error): void }) {
        void (async () => {
          try {
            for await (const part of input) target.event(0, part);
            target.end(0);
          } catch (error) {
            target.error(0, error as Error);
          }
        })();
        return { dispose() {} };
      },
    };
    // its concatMap runs a scheduler task a part; one event in, several out is the plain form
    const expand = (fn: SpreadFn) => (stream: typeof source): typeof source => ({
      run: (target, ...rest) =>
        stream.run({ event: (time, part) => spread(fn)(part).forEach((made) => target.event(time, made)), end: (time) => target.end(time), error: (time, error) => target.error(time, error) }, ...rest),
    });
    const stream = steps.reduce<typeof source>(
      (all, step) => ("map" in step ? most.map(step.map, all as never) : "keep" in step ? most.filter(step.keep, all as never) : expand(step.spread)(all)) as never,
      source,
    );
    return most.runEffects(most.tap(sink, stream as never), newDefaultScheduler());
  },
  wonka: (steps) => (input, sink) => wonka.toPromise(wonka.takeLast<Part>(1)(wonka.tap(sink)(wonkaSource(steps, input)))),
  effect: (steps) => (input, sink) => Effect.runPromise(Stream.runForEach(effectStream(steps, input), (part) => Effect.sync(() => sink(part)))),
};

function variants(steps: () => Step[], input: Input, parts: number): Variant[] {
  const byHand = limit(steps());
  const all: Variant[] = (["for await", "push"] as const).map((group) => ({ name: "LIMIT", group, parts, run: () => byHand(input()) }));
  for (const [name, make] of Object.entries(pulls)) {
    const stream = make(steps());
    all.push({ name, group: "for await", parts, run: () => forAwait(stream(input())) });
  }
  const plain = naive(steps());
  all.push({ name: "native generators", group: "push", parts, run: () => forAwait(plain(input())) });
  for (const [name, make] of Object.entries(pushes)) {
    const drain = make(steps());
    all.push({
      name,
      group: "push",
      parts,
      async run() {
        const checksum = new Checksum();
        await drain(input(), (part) => checksum.add(part));
        return checksum.toString();
      },
    });
  }
  return all;
}

export const w1 = (): Variant[] => variants(mapSteps, () => asyncSource(100_000), 100_000);
export const w2 = (): Variant[] => {
  const ready = readySource(100_000);
  return variants(mapSteps, () => ready, 100_000);
};
export const w3 = (): Variant[] => variants(expandSteps, () => asyncSource(40_000), 40_000);

/** W6: builds a pipeline of ten stages, takes its first part, leaves. */
export function w6(): Variant[] {
  const pipelines = 2_000;
  const first = async (build: () => AsyncIterable<Part>): Promise<string> => {
    let count = 0;
    for (let i = 0; i < pipelines; i += 1) {
      for await (const _ of build()) {
        count += 1;
        break;
      }
    }
    return `${count} first parts`;
  };
  const all: Variant[] = Object.entries(pulls)
    .filter(([name]) => name !== "Web streams") // leaves its source open: it may be pulled after it was left
    .map(([name, make]) => {
      const steps = mapSteps();
      return { name, group: "for await", parts: pipelines, run: () => first(() => make(steps)(asyncSource(10))) };
    });
  interface Runnable {
    pipe(next: unknown): Runnable;
    invoke(part: Part): Promise<Part>;
  }
  const [head, ...rest] = tenMaps().map((fn) => RunnableLambda.from(fn as never) as unknown as Runnable); // its types end in a stack overflow here
  const chain = rest.reduce((sequence, next) => sequence.pipe(next), head as Runnable);
  all.push({
    name: "LangChain runnables",
    group: "for await",
    parts: pipelines,
    async run() {
      let count = 0;
      for (let i = 0; i < pipelines; i += 1) {
        for await (const part of asyncSource(10)) {
          await chain.invoke(part);
          count += 1;
          break;
        }
      }
      return `${count} first parts`;
    },
  });
  return all;
}
