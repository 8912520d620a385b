/**
 * W8 (a model's stream) and W9 (the same within the wrappers of resilience).
 *
 * @module
 */
import * as rx from "rxjs";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import {
  bulkhead,
  cache,
  circuitBreaker,
  compensate,
  derive,
  each,
  fallback,
  hedge,
  isText,
  loadBalance,
  type Part,
  pipe,
  type Processor,
  rateLimit,
  retry,
  run,
  take,
  text,
  timeout,
} from "../../src/index.ts";
import type { Variant } from "./measure.ts";

const deltas = 10_000;

/** Deltas as events of a stream, 20 at a time, each chunk on its own turn of the event loop. */
async function* chunks(): AsyncGenerator<Part> {
  for (let at = 0; at < deltas; at += 20) {
    await new Promise((resolve) => setImmediate(resolve));
    const events = Array.from({ length: 20 }, (_, i) => `data: ${JSON.stringify({ type: "delta", delta: (at + i) % 10 === 0 ? "" : `token${at + i} ` })}\n\n`);
    yield text(events.join(""));
  }
}

const parse = (made: Part): Part[] =>
  isText(made)
    ? made.text
        .split("\n\n")
        .filter((event) => event !== "")
        .map((event) => text((JSON.parse(event.slice(6)) as { delta: string }).delta, { role: "assistant" }))
    : [made];
const keep = (made: Part): boolean => isText(made) && made.text !== "";
const upper = (made: Part): Part => (isText(made) ? derive(made, { text: made.text.toUpperCase() }) : made);
const numbered = (): ((made: Part) => Part) => {
  let n = 0;
  return (made) => derive(made, { metadata: { n: n++ } });
};
const measured = (): ((made: Part) => Part) => {
  let length = 0;
  return (made) => {
    length += isText(made) ? made.text.length : 0;
    return made;
  };
};

function variant(name: string, stream: () => AsyncIterable<Part>): Variant {
  const total = async (): Promise<string> => {
    let count = 0;
    let length = 0;
    for await (const made of stream()) {
      count += 1;
      length += isText(made) ? made.text.length : 0;
    }
    return `${count} deltas, ${length} characters`;
  };
  return { name, group: "for await", parts: deltas, run: total };
}

/** W8: five stages over the stream. */
export function w8(): Variant[] {
  async function* byHand(): AsyncGenerator<Part> {
    const [number, measure] = [numbered(), measured()];
    for await (const chunk of chunks()) for (const made of parse(chunk)) if (keep(made)) yield measure(number(upper(made)));
  }
  const generators = (): AsyncIterable<Part> => {
    const stage = (fn: (made: Part) => Part[]) =>
      async function* (input: AsyncIterable<Part>) {
        for await (const made of input) yield* fn(made);
      };
    const [number, measure] = [numbered(), measured()];
    return [parse, (made: Part) => (keep(made) ? [made] : []), (made: Part) => [upper(made)], (made: Part) => [number(made)], (made: Part) => [measure(made)]].reduce<AsyncIterable<Part>>(
      (stream, fn) => stage(fn)(stream),
      chunks(),
    );
  };
  const stages = (middle: readonly Processor[]) => pipe(each(parse), each((made) => (keep(made) ? made : undefined)), ...middle, each(upper), each(numbered()), each(measured()));
  return [
    variant("LIMIT", byHand),
    variant("millrace", () => run(stages([]), chunks())),
    variant("millrace, one opaque stage", () => run(stages([async function* (input) { yield* input; }]), chunks())),
    variant("native generators", generators),
    variant("rxjs as for await", () => {
      const [number, measure] = [numbered(), measured()];
      return rxIterable(rx.from(chunks()).pipe(rx.concatMap(parse), rx.filter(keep), rx.map(upper), rx.map(number), rx.map(measure)));
    }),
  ];
}

/**
 * W9: a model that cannot be seen into, in no wrapper, in a verb of streams for comparison, and in each wrapper. One stream of each stays open
 * all the while, as in a service that has others in progress: else each collection makes the engine forget what it had compiled.
 */
export function w9(): Variant[] {
  async function* model(input: AsyncIterable<Part>): AsyncGenerator<Part> {
    for await (const _ of input);
    for await (const chunk of chunks()) for (const made of parse(chunk)) if (keep(made)) yield made;
  }
  const wrappers: Readonly<Record<string, (processor: Processor) => Processor>> = {
    millrace: (processor) => processor,
    "millrace, take": (processor) => pipe(processor, take(1e9)),
    "millrace, retry": (processor) => retry(processor),
    "millrace, timeout": (processor) => timeout(processor),
    "millrace, fallback": (processor) => fallback(processor, processor),
    "millrace, hedge": (processor) => hedge(processor),
    "millrace, loadBalance": (processor) => loadBalance([{ id: "a", processor }, { id: "b", processor }]),
    "millrace, circuitBreaker": (processor) => circuitBreaker(processor),
    "millrace, bulkhead": (processor) => bulkhead(processor),
    "millrace, rateLimit": (processor) => rateLimit(processor, { requests: 1_000_000, outputTokens: 1e12, perMs: 1_000 }),
    "millrace, cache (a miss)": (processor) => cache(processor, { scope: "public", store: memoryKeyValue({ maxBytes: 1 }), secret: "0123456789abcdef", name: "w9", version: "1" }),
    "millrace, compensate": (processor) => compensate([{ run: processor }]),
    "millrace, seven of them": (processor) => timeout(fallback(retry(hedge(bulkhead(circuitBreaker(timeout(processor)))))), { totalMs: 60_000 }),
  };
  return Object.entries(wrappers).map(([name, wrap]) => {
    const pipeline = pipe(wrap(model), each(upper), each(numbered()), each(measured()));
    let open: AsyncIterator<Part> | undefined;
    return variant(name, () => {
      if (open === undefined) {
        open = run(pipeline, "ask")[Symbol.asyncIterator]();
        void open.next();
      }
      return run(pipeline, "ask");
    });
  });
}

/** An observable as an async iterable: a queue without a bound, since the observable does not wait. */
async function* rxIterable(source: rx.Observable<Part>): AsyncGenerator<Part> {
  const queue: Part[] = [];
  let wake: (() => void) | undefined;
  let done = false;
  source.subscribe({
    next: (made) => {
      queue.push(made);
      wake?.();
    },
    complete: () => {
      done = true;
      wake?.();
    },
  });
  for (;;) {
    const made = queue.shift();
    if (made !== undefined) yield made;
    else if (done) return;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
}
