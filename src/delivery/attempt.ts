/**
 * One attempt at one delivery, or at several that are run together: from its parts to outputs that are confirmed.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { type ErrorCode, errorCodes, MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { isReserved } from "../core/guards.ts";
import type { ErrorPart, Part } from "../core/part.ts";
import type { Observer, Processor } from "../core/processor.ts";
import { isReset } from "../core/reset.ts";
import { runAbout } from "./current.ts";
import type { Tell } from "./events.ts";
import type { Held } from "./held.ts";
import type { Journal } from "../kinds/journal.ts";
import type { Sink } from "./sinks.ts";

/** Where an attempt failed. */
export type Stage = "read" | "run" | "sink";

/** What became of an attempt. */
export type Outcome =
  | { readonly kind: "done"; readonly outputs: number }
  /** `emitted` outputs had been confirmed before, and stay. */
  | { readonly kind: "failed"; readonly error: unknown; readonly stage: Stage; readonly emitted: number }
  | { readonly kind: "lost" }
  | { readonly kind: "stopped" };

/** How attempts are made. */
export interface AttemptSettings {
  readonly processor: Processor;
  readonly sink: Sink;
  readonly journal: Journal | undefined;
  /** Of the pipeline, in the keys of the journal. */
  readonly version: string;
  readonly observe: Observer | undefined;
  readonly clock: Clock;
  /** An attempt that takes longer is given up; `undefined`: one without progress for `idleMs`. */
  readonly totalMs: number | undefined;
  readonly idleMs: number;
  readonly tell: Tell;
}

/** Makes one attempt. It never rejects, and is over when `stop` aborts, whatever the pipeline and the sink do. */
export function attempt(group: readonly [Held, ...Held[]], settings: AttemptSettings, stop: AbortSignal): Promise<Outcome> {
  const { clock, totalMs, idleMs } = settings;
  return new Promise((resolve) => {
    const controller = new AbortController();
    const progress = { emitted: 0, stage: "read" as Stage };
    let cancel: () => void = ignore;
    const settle = (outcome: Outcome): void => {
      cancel();
      stop.removeEventListener("abort", stopped);
      for (const { signal } of group) signal.removeEventListener("abort", lost);
      resolve(outcome);
    };
    const over = (outcome: Outcome, reason: unknown): void => {
      settle(outcome);
      controller.abort(reason);
    };
    const stopped = (): void => over({ kind: "stopped" }, stop.reason);
    const lost = (): void => over({ kind: "lost" }, group.find((held) => held.lost)?.signal.reason);
    const late = (ms: number, what: string) => (): void => {
      const error = new MillraceError("timeout", `consume: delivery ${group[0].delivery.id} ${what} ${ms} ms`, { phase: totalMs === undefined ? "progress" : "total" });
      over({ kind: "failed", error, ...progress }, error);
    };
    const alive = (): void => {
      if (totalMs !== undefined || controller.signal.aborted) return;
      cancel();
      cancel = clock.timeout(idleMs, late(idleMs, "made no progress for"));
    };
    if (stop.aborted) return stopped();
    if (group.some((held) => held.lost)) return lost();
    stop.addEventListener("abort", stopped, { once: true });
    for (const { signal } of group) signal.addEventListener("abort", lost, { once: true });
    if (totalMs === undefined) alive();
    else cancel = clock.timeout(totalMs, late(totalMs, "took longer than"));
    perform(group, settings, controller.signal, progress, alive).then(
      () => settle({ kind: "done", outputs: progress.emitted }),
      (error: unknown) => settle({ kind: "failed", error, ...progress }),
    );
  });
}

/** Runs the pipeline and writes what it gives, each output confirmed before the next is asked for. */
async function perform(
  group: readonly [Held, ...Held[]],
  { processor, sink, journal, version, observe, tell }: AttemptSettings,
  signal: AbortSignal,
  progress: { emitted: number; stage: Stage },
  alive: () => void,
): Promise<void> {
  const deliveries = group.map((held) => held.delivery);
  const [{ delivery }] = group;
  const name = deliveries.length === 1 ? delivery.id : `${delivery.id}+${deliveries.length - 1}`;
  for (const { unreadable } of deliveries) if (unreadable !== undefined) throw unreadable;
  const about = { signal, ...(observe === undefined ? {} : { observe }), ...(delivery.correlationId === undefined ? {} : { correlationId: delivery.correlationId }) };

  async function* outputs(): AsyncGenerator<Part> {
    for await (const part of runAbout(delivery, processor, deliveries.flatMap(({ parts }) => parts), about)) {
      alive();
      if (isReserved(part)) tell({ kind: "status", id: delivery.id, part });
      else if (part.kind === "error") throw unhandled(part);
      else if (part.kind === "json" && isReset(part)) throw new MillraceError("missing_config", "consume: a sink cannot take back what it was given");
      else yield part;
    }
  }
  async function writeTo(target: Sink): Promise<void> {
    progress.emitted = 0; // of this transaction, where there is one
    progress.stage = "run";
    const parts = journal === undefined ? outputs() : journal.once(`${name}:pipeline:${version}`, outputs);
    for await (const part of parts) {
      signal.throwIfAborted();
      progress.stage = "sink";
      await target.write(part, { key: `${name}:${progress.emitted}`, delivery, deliveries, signal });
      progress.emitted += 1;
      progress.stage = "run";
      alive();
    }
    signal.throwIfAborted();
    progress.stage = "sink";
    await target.flush?.(delivery);
  }
  if (sink.atomic === undefined) return writeTo(sink);
  progress.stage = "sink";
  try {
    await sink.atomic(delivery, writeTo);
  } catch (error) {
    progress.emitted = 0; // rolled back, or found out by the next attempt
    throw error;
  }
}

/** An error that the pipeline turned into data, and that nobody took. */
function unhandled({ code, message }: ErrorPart): MillraceError {
  const known = errorCodes.find((each): each is ErrorCode => each === code);
  return new MillraceError(known ?? "invalid_input", `consume: an error part that nobody handled: ${message}`, { scope: "part", retryable: false });
}
