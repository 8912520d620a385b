/**
 * Ctrl-C, and the like, as an `AbortSignal`.
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";

/** A signal of the operating system that asks a program to end. */
export type InterruptSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGBREAK";

const known: readonly string[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"] satisfies InterruptSignal[];

/** Which signals abort. */
export interface InterruptOptions {
  /** @default SIGINT, which is Ctrl-C, and SIGTERM */
  readonly signals?: readonly InterruptSignal[];
}

/** Listens until it is closed. */
export interface Interrupt extends Disposable {
  /** For `run`: aborts at the first interrupt, with an `AbortError` whose message names it. */
  readonly signal: AbortSignal;
  /** Listens no more; twice is fine. */
  close(): void;
}

/**
 * Aborts at the first Ctrl-C instead of ending the process; the second ends it, as it does by default.
 *
 * Throws: `invalid_input` for signals that it does not know.
 * Closes: its listeners, at the first interrupt and in `close()`. They do not keep the process alive.
 *
 * @example
 * using interrupt = abortOnInterrupt();
 * await run(terminalOutput(), "Once upon a time.\n", { signal: interrupt.signal }).collect();
 */
export function abortOnInterrupt(options: InterruptOptions = {}): Interrupt {
  const { signals = ["SIGINT", "SIGTERM"] } = options;
  if (!Array.isArray(signals) || signals.length === 0 || !signals.every((name) => known.includes(name))) {
    throw invalidOption("abortOnInterrupt", "signals", `some of ${known.join(", ")}`, signals);
  }
  const controller = new AbortController();
  const interrupted = (name: string): void => {
    close();
    controller.abort(new DOMException(`interrupted by ${name}`, "AbortError"));
  };
  const close = (): void => {
    for (const name of signals) process.off(name, interrupted);
  };
  for (const name of new Set(signals)) process.on(name, interrupted);
  return { signal: controller.signal, close, [Symbol.dispose]: close };
}
