/**
 * Dead letters, sent back.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { MillraceError, wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { type Delivery, type Queue, requireQueue } from "../kinds/queue.ts";
import { type DeadLetter, known, letterIn, withoutLetter } from "./dead-letter.ts";

/** Dead letters that are passed over, and held until the end, at most: a queue would give them again. */
const maxPassedOver = 1_000;

/** What `replay` may be told. */
export interface ReplayOptions {
  readonly signal?: AbortSignal;
  /** Which dead letters go back; the others stay. @default all that have their parts */
  readonly match?: (letter: DeadLetter) => boolean;
  /** Messages to send back, at most. @default no limit */
  readonly limit?: number;
  /** It is over when no dead letter has come for so many milliseconds. @default 1_000 */
  readonly idleMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** What became of the dead letters. */
export interface ReplayResult {
  readonly replayed: number;
  /** Left where they were: refused by `match`, without their parts, unreadable, or no dead letters. */
  readonly passedOver: number;
}

/**
 * Sends messages that were set aside to a queue again, as new ones: their attempts begin at 1, and the header `replayOf` names the
 * delivery that failed. Each is taken from the dead letters once the queue has confirmed it; who is stopped in between sends it twice.
 *
 * Throws: `invalid_input` for bad options; whatever the queues throw; `signal.reason` on abort. What was not sent stays.
 * Closes: its reading of the dead letters; both queues belong to the caller.
 *
 * @example
 * await using jobs = memoryQueue({ name: "jobs" });
 * await using dead = memoryQueue({ name: "dead" });
 * console.log(await replay(dead, jobs, { idleMs: 10 })); // { replayed: 0, passedOver: 0 }
 */
export async function replay(deadLetters: Queue, queue: Queue, options: ReplayOptions = {}): Promise<ReplayResult> {
  requireQueue("replay", deadLetters, "deadLetters");
  requireQueue("replay", queue);
  const { signal, match = () => true, limit, idleMs = 1_000, clock = systemClock } = options;
  if (limit !== undefined) wholeNumber("replay", "limit", limit, 1);
  wholeNumber("replay", "idleMs", idleMs, 1);
  if (deadLetters === queue) throw new MillraceError("invalid_input", "replay: needs two queues, got the same");
  signal?.throwIfAborted();

  const controller = new AbortController();
  const drain = new AbortController(); // what is passed over stays ours until it is given back
  const abort = (): void => controller.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const iterator = deadLetters.open({ signal: controller.signal, drain: drain.signal, maxInFlight: maxPassedOver + 1 })[Symbol.asyncIterator]();
  const passedOver: Delivery[] = [];
  let replayed = 0;
  /** The next dead letter; none after `idleMs`. */
  const next = async (): Promise<Delivery | undefined> => {
    const cancel = clock.timeout(idleMs, () => drain.abort());
    try {
      const { done, value } = await iterator.next();
      return done === true ? undefined : value;
    } finally {
      cancel();
    }
  };
  try {
    while (replayed < (limit ?? Infinity) && passedOver.length <= maxPassedOver) {
      const delivery = await next();
      if (delivery === undefined) break;
      const { unreadable } = delivery;
      if (unreadable?.scope === "dependency") throw unreadable; // its parts are elsewhere, and may be had later
      const letter = letterIn(delivery);
      if (unreadable !== undefined || letter === undefined || letter.reference === true || !match(letter)) {
        passedOver.push(delivery);
        continue;
      }
      const headers = { ...withoutLetter(delivery), replayOf: letter.id };
      await queue.send(delivery.parts, { ...known(delivery, queue), headers, signal: controller.signal });
      await delivery.ack();
      replayed += 1;
    }
    return { replayed, passedOver: passedOver.length };
  } finally {
    signal?.removeEventListener("abort", abort);
    await Promise.allSettled(passedOver.filter((it) => !it.signal.aborted).map((it) => it.nack({ counted: false })));
    controller.abort(new DOMException("the replay is over", "AbortError"));
    await iterator.return?.().catch(ignore);
  }
}
