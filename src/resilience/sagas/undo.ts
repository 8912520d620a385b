/**
 * Undoing one step: with its own output, its own time, and a few attempts.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { ignore, isPromise } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";
import type { Context } from "../../core/processor.ts";

/** What a step gave: a list, which is also a stream, so that a processor can read it. */
export interface StepOutput extends ReadonlyArray<Part>, AsyncIterable<Part> {}

/** What an undo is told. Its signal is its own: it is not the run's, which may have been aborted. */
export interface UndoContext extends Context {
  /** The same at every attempt to undo this step, and at no other: where the service honours one, send it. */
  readonly key: string;
  /** From 1. */
  readonly attempt: number;
}

/** Takes back what a step did: a function, or a processor, which is run to its end. */
export type Undo = (output: StepOutput, context: UndoContext) => unknown;

/** How undoing is done. */
export interface UndoSettings {
  readonly undoMs: number;
  readonly retries: number;
  readonly baseMs: number;
  readonly maxMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly tell: (event: SagaEvent) => void;
}

/** A step was taken back, or could not be. */
export interface SagaEvent {
  readonly kind: "undone" | "undo_failed";
  readonly saga: string;
  readonly step: string;
  /** Calls of undo. */
  readonly attempts: number;
  readonly error?: unknown;
}

/** A step that has happened, or may have. */
export interface DoneStep {
  readonly saga: string;
  readonly step: string;
  readonly key: string;
  readonly undo: Undo;
  readonly output: StepOutput;
  readonly context: Pick<Context, "correlationId" | "runId" | "state">;
  readonly settings: UndoSettings;
}

/** A list of parts that can be read as a stream too. */
export function stepOutput(parts: readonly Part[]): StepOutput {
  const output = [...parts];
  const read = async function* (): AsyncGenerator<Part> {
    yield* parts;
  };
  return Object.defineProperty(output, Symbol.asyncIterator, { value: read }) as Part[] & AsyncIterable<Part>; // just made so
}

/** Undoes a step; gives the error when it stays done. Never rejects. */
export async function undoStep(done: DoneStep): Promise<MillraceError | undefined> {
  const { saga, step, settings } = done;
  const { retries, baseMs, maxMs, clock, random, tell } = settings;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await undoOnce(done, attempt);
      tell({ kind: "undone", saga, step, attempts: attempt });
      return undefined;
    } catch (cause) {
      if (attempt > retries) {
        tell({ kind: "undo_failed", saga, step, attempts: attempt, error: cause });
        return new MillraceError("interrupted", `compensate: step ${step} of ${saga} is not undone`, { cause, attempts: attempt });
      }
      // full jitter: what failed together does not come back together
      await clock.sleep(random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1)));
    }
  }
}

/** One attempt, given up after `undoMs` whether it hears of that or not. */
function undoOnce(done: DoneStep, attempt: number): Promise<void> {
  const { settings, step, saga } = done;
  const stop = new AbortController();
  return new Promise<void>((resolve, reject) => {
    const cancel = settings.clock.timeout(settings.undoMs, () => {
      const late = new MillraceError("timeout", `compensate: undo of step ${step} of ${saga} took more than ${settings.undoMs} ms`, { phase: "total" });
      reject(late);
      stop.abort(late);
    });
    perform(done, attempt, stop.signal).then(resolve, reject).finally(cancel);
  });
}

async function perform({ undo, output, context, key }: DoneStep, attempt: number, signal: AbortSignal): Promise<void> {
  const work: Promise<unknown>[] = [];
  const { correlationId, runId, state } = context;
  const waitUntil = (promise: Promise<unknown>): void => {
    Promise.resolve(promise).catch(ignore); // heard at the end of the attempt
    work.push(promise);
  };
  const result = undo(output, { correlationId, runId, state, signal, key, attempt, waitUntil });
  if (isPromise(result)) await result;
  else if (typeof result === "object" && result !== null && Symbol.asyncIterator in result) {
    for await (const _ of result as AsyncIterable<unknown>) signal.throwIfAborted(); // what an undo says is nobody's input
  }
  await Promise.all(work);
}

/** Puts errors of cleaning up on the error that is thrown, where that can carry any. It stays the same object. */
export function suppress(error: unknown, errors: readonly unknown[]): void {
  if (errors.length === 0 || typeof error !== "object" || error === null || !Object.isExtensible(error)) return;
  const before: unknown = (error as { readonly suppressed?: unknown }).suppressed;
  const value = [...new Set([...(Array.isArray(before) ? (before as unknown[]) : []), ...errors])];
  Object.defineProperty(error, "suppressed", { value, enumerable: false, configurable: true, writable: true });
}
