/**
 * One timer for many that all have the same time.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { LinkedList, type ListNode } from "../core/linked-list.ts";

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
export type DueNode<T> = ListNode<Time<T>>;

/** Calls for each item when its time is over. They are due in the order in which their times began, so that only the first needs a timer. */
export class Due<T> {
  private readonly clock: Clock;
  private readonly ms: number;
  private readonly over: (item: T) => void;
  /** The next first. */
  private readonly times = new LinkedList<Time<T>>();
  private cancel: (() => void) | undefined;
  private closed = false;

  constructor(clock: Clock, ms: number, over: (item: T) => void) {
    this.clock = clock;
    this.ms = ms;
    this.over = over;
  }

  /** The time of an item begins. */
  begin(item: T): DueNode<T> {
    const node = this.times.push(new Time(item, this.clock.now() + this.ms)); // last
    if (this.closed) this.times.delete(node);
    else this.cancel ??= this.clock.timeout(this.ms, this.ring); // else one is set that rings earlier
    return node;
  }

  /** The time of an item begins anew, unless it was over or dropped. */
  again(node: DueNode<T>): void {
    if (!this.times.has(node)) return;
    node.value.atMs = this.clock.now() + this.ms;
    this.times.moveToEnd(node);
  }

  drop(node: DueNode<T>): void {
    if (this.times.delete(node) && this.times.size === 0) this.quiet();
  }

  /** Nothing is due any more. */
  close(): void {
    this.closed = true;
    this.times.clear();
    this.quiet();
  }

  private quiet(): void {
    this.cancel?.();
    this.cancel = undefined;
  }

  private readonly ring = (): void => {
    const nowMs = this.clock.now();
    for (let next = this.times.first; next !== undefined && next.value.atMs <= nowMs; next = this.times.first) {
      this.times.delete(next);
      this.over(next.value.item);
    }
    this.quiet();
    // only now: what began meanwhile is behind the others
    const { first } = this.times;
    if (first !== undefined) this.cancel = this.clock.timeout(first.value.atMs - nowMs, this.ring);
  };
}
