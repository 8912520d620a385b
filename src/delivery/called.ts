/**
 * Requests of calls as deliveries that end when nobody waits for them any more.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Delivery, Queue } from "../kinds/queue.ts";
import { cancelledIn, requestIn } from "./call-headers.ts";
import { changed, changedQueue } from "./changed.ts";

/** Calls that nobody waits for and whose request is still to come, at most: each could be worked on for nothing. */
const maxRemembered = 10_000;

/** Calls that nobody waits for. */
export class Cancellations {
  private readonly running = new Map<string, () => void>();
  private readonly before = new Set<string>();
  /** Messages that came. */
  received = 0;

  /** Reads them until the signal aborts. That none can be read any more is told by rejecting. */
  async read(queue: Queue, signal: AbortSignal): Promise<void> {
    for await (const delivery of queue.open({ signal, maxInFlight: 64 })) {
      this.received += 1;
      const id = cancelledIn(delivery);
      delivery.ack().catch(ignore);
      if (id !== undefined) this.cancel(id);
    }
  }

  /** Calls `end` when the call is cancelled, now if it has been, unless the returned function is called before. */
  listen(id: string, end: () => void): () => void {
    if (this.before.delete(id)) end();
    else this.running.set(id, end);
    return () => void (this.running.get(id) === end && this.running.delete(id));
  }

  private cancel(id: string): void {
    const end = this.running.get(id);
    if (end !== undefined) end();
    else this.remember(id);
  }

  /** Its request will come, perhaps again: nobody waits for it. */
  remember(id: string): void {
    this.before.add(id);
    for (const oldest of this.before) {
      if (this.before.size <= maxRemembered) break;
      this.before.delete(oldest);
    }
  }
}

/** How requests are read. */
export interface CalledOptions {
  /** Is there a queue of that name to reply to? */
  readonly replies: (name: string) => boolean;
  readonly cancellations: Cancellations;
  readonly clock: Clock;
}

/** The same queue; a request that came too late is acknowledged, one that nobody waits for any more too, and its signal aborts. */
export function called(queue: Queue, options: CalledOptions): Queue {
  return changedQueue(queue, {
    async *open(opening) {
      const { signal, drain } = opening;
      const releases = new Set<() => void>();
      const releaseAll = (): void => {
        for (const release of releases) release();
      };
      signal.addEventListener("abort", releaseAll, { once: true });
      try {
        for await (const delivery of queue.open(opening)) {
          const request = waitedFor(delivery, options, releases);
          if (request === undefined) await delivery.ack().catch(ignore); // should it come again, its time is over
          else yield request;
        }
      } finally {
        if (drain?.aborted !== true) {
          signal.removeEventListener("abort", releaseAll);
          releaseAll();
        } // else what is out can still be settled, until the signal aborts
      }
    },
  });
}

/** The delivery of a request; `undefined` when its time is over. What is no request, or one of somebody unknown, is not readable. */
function waitedFor(delivery: Delivery, { replies, cancellations, clock }: CalledOptions, releases: Set<() => void>): Delivery | undefined {
  const request = requestIn(delivery);
  if (delivery.unreadable !== undefined) return delivery;
  if (request === undefined) return changed(delivery, { unreadable: new MillraceError("invalid_input", "answerCalls: the message is no call") });
  if (!replies(request.replyTo)) return changed(delivery, { unreadable: new MillraceError("refused", "answerCalls: the call wants its reply in a queue that is none of ours") });
  const { timeoutMs } = request;
  // Of the two clocks one may be wrong: a request is never given more time than its caller has, and none if that is over by both.
  const leftMs = Math.min(timeoutMs, timeoutMs - (Date.now() - (delivery.sentAtMs ?? Date.now())));
  if (leftMs <= 0) return undefined;

  const controller = new AbortController();
  const release = (): void => {
    releases.delete(release);
    stopTimer();
    deaf();
    delivery.signal.removeEventListener("abort", lost);
  };
  const end = (why: string) => (): void => {
    release();
    delivery.ack().catch(() => cancellations.remember(request.id)); // it comes again, and nobody waits for it then either
    controller.abort(new MillraceError("timeout", `answerCalls: ${why}`, { phase: "total" }));
  };
  const lost = (): void => {
    release();
    controller.abort(delivery.signal.reason);
  };
  let stopTimer: () => void = ignore;
  let deaf: () => void = ignore;
  if (delivery.signal.aborted) lost();
  else {
    releases.add(release);
    delivery.signal.addEventListener("abort", lost, { once: true });
    stopTimer = clock.timeout(leftMs, end("nobody waits for the call any more"));
    deaf = cancellations.listen(request.id, end("the call was cancelled"));
    if (controller.signal.aborted) release();
  }
  const settled =
    <T extends readonly unknown[]>(settle: (...args: T) => Promise<void>) =>
    async (...args: T): Promise<void> => {
      await settle(...args);
      release();
    };
  return changed(delivery, { signal: controller.signal, ack: settled(() => delivery.ack()), nack: settled((options) => delivery.nack(options)) });
}
