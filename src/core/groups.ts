/**
 * Parts in groups, for stages that take several at once.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import { DONE, ignore, isFlow, isPart, type Pulled } from "./flow.ts";
import type { Part } from "./part.ts";

/** When a group is full. */
export interface GroupLimits {
  readonly count: number;
  /** Of what `sizeOf` gives; a single larger part is a group of its own. */
  readonly bytes: number;
  readonly sizeOf: (part: Part) => number;
  /** Milliseconds after its first part. */
  readonly maxWaitMs: number | undefined;
  readonly clock: Clock;
}

const late: unique symbol = Symbol("late");

/** The groups, in order, none of them empty. An error of the input comes after the complete groups before it. */
export async function* groupsOf(input: AsyncIterable<Part>, { count, bytes, sizeOf, maxWaitMs, clock }: GroupLimits): AsyncGenerator<readonly Part[]> {
  const iterator = input[Symbol.asyncIterator]();
  // inside a run a part that is ready costs no promise
  const read = isFlow(input) ? () => input.pull() : () => nextOf(iterator);
  const timer = groupTimer(maxWaitMs, clock);
  let pending: Pulled | undefined;
  let group: Part[] = [];
  let size = 0;
  const flush = (): readonly Part[] => {
    const full = group;
    group = [];
    size = 0;
    timer.stop();
    return full;
  };
  try {
    for (;;) {
      pending ??= read();
      const next = isPart(pending) || pending === DONE ? pending : group.length === 0 ? await pending : await timer.within(pending);
      if (next === late) {
        yield flush();
        continue;
      }
      pending = undefined;
      if (next === DONE) break;
      const weight = bytes === Infinity ? 0 : sizeOf(next);
      if (group.length > 0 && size + weight > bytes) yield flush();
      if (group.length === 0) timer.start();
      group.push(next);
      size += weight;
      if (group.length >= count || size >= bytes) yield flush();
    }
    if (isFlow(input)) await iterator.next(); // rejects where the end was none, but the input was taken away
    if (group.length > 0) yield flush();
  } finally {
    timer.stop();
    if (pending instanceof Promise) pending.catch(ignore);
    await iterator.return?.();
  }
}

async function nextOf(iterator: AsyncIterator<Part>): Promise<Part | typeof DONE> {
  const { value, done } = await iterator.next();
  return done === true ? DONE : value;
}

/** The time of one group: one timer for all its waits, and none where nothing is waited for. */
interface GroupTimer {
  start(): void;
  /** What is waited for, or `late`; it goes on either way. */
  within<T>(read: Promise<T>): Promise<T | typeof late>;
  stop(): void;
}

function groupTimer(maxWaitMs: number | undefined, clock: Clock): GroupTimer {
  let endsMs = 0;
  let cancel: (() => void) | undefined;
  let wake = ignore;
  return {
    start() {
      if (maxWaitMs !== undefined) endsMs = clock.now() + maxWaitMs;
    },
    within<T>(read: Promise<T>) {
      if (maxWaitMs === undefined) return read;
      return new Promise<T | typeof late>((resolve, reject) => {
        wake = () => resolve(late);
        cancel ??= clock.timeout(endsMs - clock.now(), () => {
          cancel = undefined; // where a part came at the same moment, the next wait has its end too
          wake();
        });
        read.then(resolve, reject);
      });
    },
    stop() {
      cancel?.();
      cancel = undefined;
    },
  };
}
