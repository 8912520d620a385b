/**
 * Works through a queue without losing a message.
 *
 * @module
 */
import { wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Processor } from "../core/processor.ts";
import type { Queue } from "../kinds/queue.ts";
import type { WorkerCounters } from "./events.ts";
import { checked, type ConsumeOptions } from "./options.ts";
import { Pulling } from "./pulling.ts";
import type { SinkLike } from "./sinks.ts";

/** Of the time for stopping, the share in which what is being worked on may come to its end. */
const drainShare = 0.75;
/** Beyond the deadline, for giving back what did not: the queue has to hear of it. */
const graceMs = 150;
/** @default of `stop` */
const defaultDeadlineMs = 10_000;

/** What became of the deliveries that were out when a worker was stopped. */
export interface StopResult {
  readonly acked: number;
  readonly nacked: number;
  readonly deadLettered: number;
  /** Neither, in the time there was; the queue delivers them again. */
  readonly abandoned: number;
}

/** A worker. Leaving its scope stops it. */
export interface Worker extends AsyncDisposable {
  /**
   * Fetches no more, lets what is being worked on come to its end for three quarters of the time, then gives it up and gives it back.
   * Resolves within 250 ms of the deadline at the latest. Twice is one stop.
   */
  stop(options?: { /** @default 10_000 */ readonly deadlineMs?: number }): Promise<StopResult>;
  /** Resolves when the worker has stopped, or the queue has ended. Rejects with what stopped it: an error of the program, an abort. */
  readonly finished: Promise<void>;
  readonly counters: WorkerCounters;
}

/**
 * Runs a pipeline once for each message of a queue, and writes what it gives to a sink.
 *
 * A message is acknowledged when its run has ended without an error, every output is confirmed, and all that was handed to
 * `waitUntil` has settled; at nothing else. So each is worked on at least once, and what had been written when a worker died is
 * written again, under the same keys; an `atomic` sink does not do it twice. A failure leads to another attempt, to the dead letters, to
 * a pause of the worker or to its end, by the scope of the error.
 *
 * Reads:  the parts of each message; no system parts, since what comes from a queue may not speak as system.
 * Yields: nothing here; parts of `status` and `debug` are told as events, all others go to the sink.
 * Throws: when it is built, `invalid_input` for bad options and `missing_config` for what would lose messages or stand still;
 *         `finished` rejects with errors of scope `process` and with the reason of an abort.
 * Closes: its reading of the queue; queue and sink belong to the caller.
 *
 * @example
 * await using queue = memoryQueue({ name: "jobs" });
 * await run(publish(queue), ["a", "b"]).collect();
 * const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
 * const worker = consume(queue, shout, async (part, { delivery: { id } }) => {
 *   console.log(id, isText(part) && part.text); // jobs/1 A  jobs/2 B
 *   if (id === "jobs/2") void worker.stop();
 * });
 * await worker.finished;
 */
export function consume(queue: Queue, processor: Processor, sink?: SinkLike | readonly SinkLike[], options: ConsumeOptions = {}): Worker {
  const settings = checked(queue, processor, sink, options);
  const { signal, tell } = settings;
  const { promise: finished, resolve, reject } = Promise.withResolvers<void>();
  finished.catch(ignore); // who does not ask for it hears of it by `onEvent`
  let failure: { readonly error: unknown } | undefined;
  let stopping: Promise<StopResult> | undefined;

  const fail = (error: unknown): void => {
    failure ??= { error };
    void stop();
  };
  const pulling = new Pulling(settings, fail);
  const { handling } = pulling;
  const finish = async (): Promise<void> => {
    signal?.removeEventListener("abort", abort);
    await pulling.close();
    tell({ kind: "stopped", ...failure });
    if (failure === undefined) resolve();
    else reject(failure.error);
  };
  const halt = async (deadlineMs: number): Promise<StopResult> => {
    const { acked, nacked, deadLettered } = handling.settling.tally;
    pulling.stop();
    await pulling.idle(deadlineMs * drainShare, signal);
    handling.giveUp(signal?.aborted === true ? signal.reason : new DOMException("the worker is being stopped", "AbortError"));
    await pulling.idle(deadlineMs * (1 - drainShare) + graceMs, signal);
    if (signal?.aborted === true) await pulling.idle(graceMs);
    const { tally } = handling.settling;
    const result = { acked: tally.acked - acked, nacked: tally.nacked - nacked, deadLettered: tally.deadLettered - deadLettered, abandoned: pulling.inFlight };
    await finish();
    return result;
  };
  const stop: Worker["stop"] = ({ deadlineMs = defaultDeadlineMs } = {}) => {
    wholeNumber("consume: stop", "deadlineMs", deadlineMs, 0);
    return (stopping ??= halt(deadlineMs));
  };
  const abort = (): void => {
    failure ??= { error: signal?.reason };
    void stop({ deadlineMs: 0 });
  };
  const work = async (): Promise<void> => {
    try {
      await pulling.run();
      await pulling.idle();
      if (stopping === undefined) stopping = finish().then(() => ({ acked: 0, nacked: 0, deadLettered: 0, abandoned: 0 }));
    } catch (error) {
      fail(error);
    }
  };

  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted === true) abort();
  else void work();
  return {
    stop,
    finished,
    get counters() {
      return { received: pulling.received, ...handling.settling.tally, inFlight: pulling.inFlight, paused: handling.door.paused };
    },
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}
