/**
 * One timer for many.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import { LinkedList, type ListNode } from "./linked-list.ts";
import { keepShape } from "./shapes.ts";

/** The time of one item. A class, as what is made once a message and holds it (see `WayOut` of core/runner.ts). */
class Time<T> {
  readonly item: T;
  atMs: number;

  constructor(item: T, atMs: number) {
    this.item = item;
    this.atMs = atMs;
  }
}

/** What `begin` gives: by it the time is begun anew, and dropped. */
export type Deadline<T> = ListNode<Time<T>>;

/** Calls for each item when its time is over. To begin one that ends after all others, as where all have the same time, costs no search. */
export class Deadlines<T> {
  private readonly clock: Clock;
  private readonly over: (item: T) => void;
  /** The next first. */
  private readonly times = new LinkedList<Time<T>>();
  private cancel: (() => void) | undefined;
  private ringsMs = Infinity;
  private closed = false;

  constructor(clock: Clock, over: (item: T) => void) {
    this.clock = clock;
    this.over = over;
  }

  /** The time of an item begins. */
  begin(item: T, ms: number): Deadline<T> {
    const time = new Time(item, this.clock.now() + ms);
    const deadline = this.times.push(time, (other) => other.atMs <= time.atMs);
    if (this.closed) this.times.delete(deadline);
    else this.arm(time.atMs);
    return deadline;
  }

  /** The time of an item begins anew, unless it was over or dropped. */
  again(deadline: Deadline<T>, ms: number): void {
    const { value: time } = deadline;
    time.atMs = this.clock.now() + ms;
    if (this.times.move(deadline, (other) => other.atMs <= time.atMs)) this.arm(time.atMs);
  }

  drop(deadline: Deadline<T>): void {
    if (this.times.delete(deadline) && this.times.size === 0) this.quiet();
  }

  /** Nothing is due any more. */
  close(): void {
    this.closed = true;
    this.times.clear();
    this.quiet();
  }

  /** A timer that rings earlier will do, also for one that was dropped: it is set anew then. */
  private arm(atMs: number): void {
    if (this.ringsMs <= atMs) return;
    this.cancel?.();
    this.ringsMs = atMs;
    this.cancel = this.clock.timeout(atMs - this.clock.now(), this.ring);
  }

  private quiet(): void {
    this.cancel?.();
    this.cancel = undefined;
    this.ringsMs = Infinity;
  }

  private readonly ring = (): void => {
    const nowMs = this.clock.now();
    for (let next = this.times.first; next !== undefined && next.value.atMs <= nowMs; next = this.times.first) {
      this.times.delete(next);
      this.over(next.value.item);
    }
    this.quiet();
    const { first } = this.times;
    if (first !== undefined) this.arm(first.value.atMs);
  };
}

keepShape(new Time(undefined, 0));
