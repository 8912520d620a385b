/**
 * What the tests of the stream verbs share.
 *
 * @module
 */
import {
  batch,
  buffer,
  type Context,
  each,
  interleave,
  isolate,
  isText,
  parallel,
  type Part,
  pipe,
  type Processor,
  route,
  run,
  tap,
  take,
  text,
  window,
} from "../../src/index.ts";

/** A processor that nobody can see into. */
export async function* opaque(input: AsyncIterable<Part>): AsyncGenerator<Part> {
  yield* input;
}

/** The texts of parts, kinds for others. */
export const texts = (parts: readonly Part[]): string[] => parts.map((part) => (isText(part) ? part.text : part.kind));

/** Runs and gives the texts. */
export const textsOf = async (processor: Processor, input: Parameters<typeof run>[1]): Promise<string[]> =>
  texts(await run(processor, input).collect());

/** The texts `0`, `1`, … */
export const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

/** Puts a text before each part. */
export const insert = (before: string): Processor => each((part) => [text(before), part]);

/** Appends to each text. */
export const append = (after: string): Processor => each((part) => (isText(part) ? part.text + after : part));

/** Some turns of the event loop: enough for everything that needs no timer and no I/O. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
}

/** A promise and its handles. */
export interface Gate {
  readonly promise: Promise<unknown>;
  open(value?: unknown): void;
  fail(error: unknown): void;
}

/** Makes a promise that the test settles. */
export function gate(): Gate {
  let open: (value?: unknown) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const promise = new Promise<unknown>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  promise.catch(() => {});
  return { promise, open, fail };
}

/** Turns of the loop, a second or more: some wait for a hash, which is made on another thread. */
const soonTurns = 1_000;

/** A promise that a test expects to settle soon; it says so instead of hanging. */
export async function soon<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  promise.then(mark, mark);
  for (let turn = 0; turn < soonTurns && !settled; turn += 1) await turns(1);
  if (!settled) throw new Error(`it has not settled after ${soonTurns} turns`);
  return promise;
}

/** Stages of every form that hand on all they get: what holds for one must hold for all. */
export const passing: Readonly<Record<string, () => Processor>> = {
  "nothing at all": () => pipe(),
  each: () => each((part) => part),
  "async each": () => each(async (part) => part),
  "each of a generator": () => each(async function* (part) {
    yield part;
  }),
  "ten part functions": () => pipe(...Array.from({ length: 10 }, () => each((part) => part))),
  "an opaque stage": () => opaque,
  "three opaque stages": () => pipe(opaque, opaque, opaque),
  "each with concurrency": () => each(async (part) => part, { concurrency: 8 }),
  "two concurrent stages": () => pipe(each(async (part) => part, { concurrency: 4 }), each((part) => part, { concurrency: 2 })),
  "unordered each": () => each(async (part) => part, { concurrency: 4, ordered: false }),
  "parallel of part functions": () => parallel(each((part) => part), each((part) => part, { match: () => false })),
  "parallel of opaque stages": () => parallel(opaque, each(() => undefined)),
  interleave: () => interleave(opaque, each(() => undefined)),
  "route of part functions": () => route(() => "a", { routes: { a: each((part) => part) } }),
  "route of opaque stages": () => route(async () => "a", { routes: { a: opaque } }),
  buffer: () => buffer(8),
  batch: () => batch({ count: 2 }, pipe()),
  window: () => window({ count: 1 }, opaque),
  take: () => take(1_000_000),
  tap: () => tap(async () => {}),
  "isolate of a part function": () => isolate(each((part) => part)),
  "isolate of an opaque stage": () => isolate(opaque),
  "buffers between opaque stages": () => pipe(opaque, buffer(2), each(async (part) => part, { concurrency: 3 }), buffer(1), opaque),
  "a run inside a stage": () => async function* (input: AsyncIterable<Part>, context?: Context) {
    yield* pipe(opaque, each((part) => part))(input, context);
  },
};
