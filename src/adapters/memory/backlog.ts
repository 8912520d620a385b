/**
 * The messages of a queue in memory that nobody holds, in the order in which they are to be delivered.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

/** A message, from sending to settling. */
export interface Stored {
  /** Counts the messages of the queue, from 1. */
  readonly place: number;
  readonly body: Uint8Array;
  readonly key: string | undefined;
  /** Deliveries that counted. */
  attempts: number;
  dueMs: number;
}

/** Who has a key, and how many of its messages. */
interface Holding {
  readonly reader: object;
  messages: number;
}

/** Waiting messages: what came back before what is new, by place; and what is not due yet, by time. */
export class Backlog {
  private readonly clock: Clock;
  /** Sorted by place; few. */
  private readonly returned: Stored[] = [];
  /** In the order of sending. */
  private readonly fresh = new Set<Stored>();
  /** Sorted by time, then place. */
  private readonly delayed: Stored[] = [];
  private readonly holdings = new Map<string, Holding>();
  private last = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get size(): number {
    return this.returned.length + this.fresh.size + this.delayed.length;
  }

  get counts(): { readonly waiting: number; readonly delayed: number } {
    return { waiting: this.returned.length + this.fresh.size, delayed: this.delayed.length };
  }

  /** When the next of the delayed is due. */
  get nextDueMs(): number | undefined {
    return this.delayed[0]?.dueMs;
  }

  add(body: Uint8Array, key: string | undefined, delayMs: number): Stored {
    this.last += 1;
    const stored: Stored = { place: this.last, body, key, attempts: 0, dueMs: 0 };
    if (delayMs > 0) this.delay(stored, delayMs);
    else this.fresh.add(stored);
    return stored;
  }

  /** The next message that this reader may have: none of a key that another holds. */
  take(reader: object): Stored | undefined {
    while (this.delayed[0] !== undefined && this.delayed[0].dueMs <= this.clock.now()) {
      insert(this.returned, this.delayed.splice(0, 1), (stored) => stored.place);
    }
    const free = ({ key }: Stored): boolean => key === undefined || (this.holdings.get(key)?.reader ?? reader) === reader;
    const back = this.returned.findIndex(free);
    const stored = back === -1 ? firstOf(this.fresh, free) : this.returned.splice(back, 1)[0];
    if (stored === undefined) return undefined;
    this.fresh.delete(stored);
    if (stored.key !== undefined) {
      const holding = this.holdings.get(stored.key) ?? { reader, messages: 0 };
      holding.messages += 1;
      this.holdings.set(stored.key, holding);
    }
    return stored;
  }

  /** A message that was taken comes back. */
  giveBack(stored: Stored, delayMs: number): void {
    this.forget(stored);
    if (delayMs > 0) this.delay(stored, delayMs);
    else insert(this.returned, [stored], ({ place }) => place);
  }

  /** A message that was taken is settled: its key is free when it was the last. */
  forget({ key }: Stored): void {
    if (key === undefined) return;
    const holding = this.holdings.get(key);
    if (holding === undefined) return;
    holding.messages -= 1;
    if (holding.messages === 0) this.holdings.delete(key);
  }

  clear(): void {
    this.returned.length = 0;
    this.fresh.clear();
    this.delayed.length = 0;
    this.holdings.clear();
  }

  private delay(stored: Stored, delayMs: number): void {
    stored.dueMs = this.clock.now() + delayMs;
    insert(this.delayed, [stored], ({ dueMs }) => dueMs);
  }
}

function firstOf(messages: Iterable<Stored>, holds: (stored: Stored) => boolean): Stored | undefined {
  for (const stored of messages) if (holds(stored)) return stored;
  return undefined;
}

/** Puts items into a sorted list, behind those of the same rank. */
function insert(list: Stored[], items: readonly Stored[], rank: (stored: Stored) => number): void {
  for (const item of items) {
    let from = 0;
    let to = list.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      const there = list[middle];
      if (there !== undefined && rank(there) <= rank(item)) from = middle + 1;
      else to = middle;
    }
    list.splice(from, 0, item);
  }
}
