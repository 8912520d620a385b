/**
 * What the tests of the wrappers share.
 *
 * @module
 */
import { type Context, isText, MillraceError, type Part, type Processor, run, text } from "../../src/index.ts";
import { type FakeClock, fakeClock } from "../../src/testing/index.ts";

/** What one attempt does, step by step. */
export type Act =
  | string // yields a text part
  | Part
  | { readonly throws: unknown }
  | { readonly waits: Promise<unknown> }
  | { readonly does: (context: Context | undefined) => unknown };

/** A processor that follows a script, attempt by attempt; the last attempt is followed for all further ones. */
export interface Scripted extends Processor {
  readonly calls: number;
  /** What each attempt read of its input. */
  readonly read: readonly (readonly string[])[];
  /** Attempts whose `finally` has run. */
  readonly closed: number;
  /** The signal of each attempt. */
  readonly signals: readonly AbortSignal[];
}

/** Makes one. It reads all of its input first, as a model does. */
export function scripted(attempts: readonly (readonly Act[])[], options: { readonly reads?: boolean } = {}): Scripted {
  const record = { calls: 0, read: [] as string[][], closed: 0, signals: [] as AbortSignal[] };
  const processor = async function* (input: AsyncIterable<Part>, context?: Context): AsyncGenerator<Part> {
    const acts = attempts[Math.min(record.calls, attempts.length - 1)] ?? [];
    record.calls += 1;
    const read: string[] = [];
    record.read.push(read);
    if (context !== undefined) record.signals.push(context.signal);
    try {
      if (options.reads !== false) for await (const part of input) read.push(isText(part) ? part.text : part.kind);
      for (const act of acts) {
        if (typeof act === "string") yield text(act);
        else if ("throws" in act) throw act.throws;
        else if ("waits" in act) await act.waits;
        else if ("does" in act) await act.does(context);
        else yield act;
      }
    } finally {
      record.closed += 1;
    }
  };
  Object.defineProperties(processor, {
    calls: { get: () => record.calls },
    read: { get: () => record.read },
    closed: { get: () => record.closed },
    signals: { get: () => record.signals },
  });
  return processor as unknown as Scripted;
}

/** A failure that is worth another attempt. */
export const down = (message = "down"): MillraceError => new MillraceError("unavailable", message);

/** The texts of parts, kinds for others. */
export const texts = (parts: readonly Part[]): string[] => parts.map((part) => (isText(part) ? part.text : part.kind));

/** What a run gave and how it ended. */
export interface Ending {
  readonly parts: readonly Part[];
  readonly texts: readonly string[];
  readonly error: unknown;
}

/** Runs to the end or the failure. */
export async function ending(processor: Processor, input: Parameters<typeof run>[1] = "in", options: Parameters<typeof run>[2] = {}): Promise<Ending> {
  const parts: Part[] = [];
  let error: unknown;
  try {
    for await (const part of run(processor, input, options)) parts.push(part);
  } catch (thrown) {
    error = thrown;
  }
  return { parts, texts: texts(parts), error };
}

/** Lets a clock run until a promise has settled. */
export async function settled<T>(promise: Promise<T>, clock: FakeClock, stepMs = 1_000): Promise<T> {
  let open = true;
  const close = (): void => {
    open = false;
  };
  promise.then(close, close);
  for (let step = 0; step < 2_000 && open; step += 1) await clock.advance(stepMs);
  if (open) throw new Error("it has not settled");
  return promise;
}

/** A clock, and what runs take of it. */
export const timed = (): { readonly clock: FakeClock; readonly random: () => number } => ({ clock: fakeClock(), random: () => 0.5 });
