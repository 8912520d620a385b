/**
 * A worker of a script, stopped when the operating system asks the program to end.
 *
 * @module
 */
import { invalidOption, wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Worker } from "./worker.ts";

/** A signal of the operating system that asks a program to end. */
export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGBREAK";

const known: readonly string[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"] satisfies StopSignal[];

/** How a worker is stopped. */
export interface StopOnSignalsOptions {
  /** @default SIGTERM, which is what supervisors send, and SIGINT, which is Ctrl-C */
  readonly signals?: readonly StopSignal[];
  /** Less than the supervisor waits before it kills: Kubernetes waits 30 s, `docker stop` 10 s. @default 8_000 */
  readonly deadlineMs?: number;
}

/**
 * Stops a worker at the first signal. The second ends the process, as it does by default; so does, after the stop, the end of the
 * program: nothing here calls `process.exit`.
 *
 * Throws: `invalid_input` for signals that it does not know.
 * Closes: its listeners, at the first signal, when the worker has finished, and when it is disposed.
 *
 * @example
 * await using queue = memoryQueue();
 * const worker = consume(queue, pipe());
 * using _ = stopOnSignals(worker, { deadlineMs: 25_000 });
 * setTimeout(() => void worker.stop(), 10); // or a SIGTERM
 * await worker.finished;
 */
export function stopOnSignals(worker: Worker, options: StopOnSignalsOptions = {}): Disposable {
  const { signals = ["SIGTERM", "SIGINT"], deadlineMs = 8_000 } = options;
  if (!Array.isArray(signals) || signals.length === 0 || !signals.every((name) => known.includes(name))) {
    throw invalidOption("stopOnSignals", "signals", `some of ${known.join(", ")}`, signals);
  }
  wholeNumber("stopOnSignals", "deadlineMs", deadlineMs, 0);
  const stop = (): void => {
    close();
    worker.stop({ deadlineMs }).catch(ignore); // `finished` tells
  };
  const close = (): void => {
    for (const name of signals) process.off(name, stop);
  };
  for (const name of new Set(signals)) process.on(name, stop);
  worker.finished.then(close, close);
  return { [Symbol.dispose]: close };
}
