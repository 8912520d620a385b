/**
 * @module
 */
import pLimit from "p-limit";
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, MillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { refuseBeside } from "./admission/beside.ts";
import { Admitted, type Door, type Permit, type Waiting } from "./admission/door.ts";

/** How many calls at once, and how many may wait. */
export interface BulkheadLimits {
  /** Calls at once. @default 32 */
  readonly concurrency?: number;
  /** Calls that wait for one of those to end; 0 for none. @default 64 */
  readonly queue?: number;
  /** Milliseconds that a call waits at most. @default 10_000 */
  readonly waitMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** Of `bulkhead`: limits of its own, or one that is shared. */
export type BulkheadOptions = BulkheadLimits | { readonly limit: BulkheadLimit };

/** A limit that several processors share, and its counts. */
export interface BulkheadLimit {
  readonly concurrency: number;
  /** Calls under way. */
  readonly active: number;
  /** Calls that wait. */
  readonly waiting: number;
}

/**
 * Runs at most so many calls of a processor at once; the others wait in their order, up to a number and a time.
 *
 * A call is one run of the stream: it takes its place when it is first pulled and keeps it until it ends, fails or is left.
 *
 * Throws: `unavailable`, before the processor and its input are touched, when the queue is full or the wait too long.
 * Closes: leaving while it waits gives up the place, at once.
 *
 * @example
 * const model = bulkhead(each(async (part) => part), { concurrency: 4, queue: 16 });
 * console.log(await run(model, "hello").text()); // hello
 */
export function bulkhead(processor: Processor, options: BulkheadOptions = {}): Processor {
  requireProcessors("bulkhead", [processor]);
  const limit = "limit" in options ? requireLimit(options) : new Bulkhead(options);
  return processorOf([{ kind: "flow", name: "bulkhead", open: (upstream, scope) => new Admitted(limit, processor, upstream, scope) }]);
}

function requireLimit(options: { readonly limit: unknown }): Bulkhead {
  if (!(options.limit instanceof Bulkhead)) throw invalidOption("bulkhead", "limit", "a limit that bulkheadLimit made", options.limit);
  refuseBeside("bulkhead", "limit", options);
  return options.limit;
}

/**
 * Makes a limit for several processors that stand on one thing: one account, one machine, one pool.
 *
 * Throws: `invalid_input` for numbers out of range.
 *
 * @example
 * const limit = bulkheadLimit({ concurrency: 8 });
 * const [fast, slow] = [bulkhead(pipe(), { limit }), bulkhead(pipe(), { limit })];
 * console.log(await run(pipe(fast, slow), "hello").text(), limit.active); // hello 0
 */
export function bulkheadLimit(options: BulkheadLimits = {}): BulkheadLimit {
  return new Bulkhead(options);
}

/** A call on its way in. */
interface Place {
  grant(permit: Permit): void;
  refuse(error: MillraceError): void;
  cancelTimer?: () => void;
}

/**
 * The queue of p-limit has no bound, and nothing leaves it before its turn: so what waits, waits here, and p-limit is handed no
 * more than it has places for.
 */
class Bulkhead implements BulkheadLimit, Door {
  readonly concurrency: number;
  active = 0;
  private readonly queue: number;
  private readonly waitMs: number;
  private readonly clock: Clock;
  private readonly limit: (call: () => Promise<void>) => Promise<void>;
  private readonly places = new Set<Place>(); // in the order of coming

  constructor(options: BulkheadLimits) {
    this.concurrency = wholeNumber("bulkhead", "concurrency", options.concurrency ?? 32, 1);
    this.queue = wholeNumber("bulkhead", "queue", options.queue ?? 64, 0);
    this.waitMs = wholeNumber("bulkhead", "waitMs", options.waitMs ?? 10_000, 1);
    this.clock = options.clock ?? systemClock;
    this.limit = pLimit(this.concurrency);
  }

  get waiting(): number {
    return this.places.size;
  }

  enter(): Waiting {
    const { concurrency, queue, waitMs } = this;
    const free = this.active < concurrency;
    if (!free && this.places.size >= queue) {
      throw new MillraceError("unavailable", `bulkhead: ${this.active} calls under way (concurrency ${concurrency}) and ${queue} waiting (queue ${queue}): full`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Permit>();
    const place: Place = { grant: resolve, refuse: reject };
    if (free) this.start(place);
    else {
      this.places.add(place);
      place.cancelTimer = this.clock.timeout(waitMs, () => {
        this.places.delete(place);
        place.refuse(new MillraceError("unavailable", `bulkhead: waited ${waitMs} ms (waitMs) for one of ${concurrency} calls to end`));
      });
    }
    return { permit: promise, leave: () => this.leave(place) };
  }

  private leave(place: Place): void {
    place.cancelTimer?.();
    this.places.delete(place);
  }

  private start(place: Place): void {
    place.cancelTimer?.();
    this.active += 1;
    void this.limit(() => this.hold(place)); // it never rejects
  }

  /** What p-limit runs: it lasts as long as the call. */
  private hold(place: Place): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    place.grant({
      release: () => {
        resolve();
        this.active -= 1;
        this.startNext();
      },
    });
    return promise;
  }

  private startNext(): void {
    const [next] = this.places;
    if (next === undefined) return;
    this.places.delete(next);
    this.start(next);
  }
}
