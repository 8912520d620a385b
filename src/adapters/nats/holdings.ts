/**
 * What a reader has of a queue, from its arrival until it is settled, given back or lost.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { Deadlines } from "../../core/deadlines.ts";
import { MillraceError } from "../../core/errors.ts";
import type { Held } from "./held.ts";

/** Of one reader. */
export interface HoldingsSettings {
  readonly service: string;
  /** After which a message is not this reader's any more, by its own clock. */
  readonly holdMs: number;
  readonly clock: Clock;
}

/** The messages of one reader. */
export class Holdings implements Iterable<Held> {
  private readonly settings: HoldingsSettings;
  /** By their place in the stream. */
  private readonly all = new Map<number, Held>();
  private readonly waiting: Held[] = [];
  private readonly leases: Deadlines<Held>;

  /** `over` is called for what was not settled in time. */
  constructor(settings: HoldingsSettings, over: (held: Held) => void) {
    this.settings = settings;
    this.leases = new Deadlines(settings.clock, over);
  }

  get size(): number {
    return this.all.size;
  }

  /** Those that wait to be handed out, and those that are out. */
  [Symbol.iterator](): Iterator<Held> {
    return this.all.values();
  }

  has(held: Held): boolean {
    return this.all.get(held.streamSeq) === held;
  }

  at(streamSeq: number): Held | undefined {
    return this.all.get(streamSeq);
  }

  /** Keeps what has come, to be handed out; in the place of the same message if that has been given back. */
  keep(held: Held): void {
    const before = this.at(held.streamSeq);
    if (before !== undefined) this.unlease(before);
    this.all.set(held.streamSeq, held);
    this.lease(held, this.settings.clock.now());
    this.waiting.push(held);
  }

  /** The next that waits to be handed out. */
  next(): Held | undefined {
    return this.waiting.shift();
  }

  /** Nothing is handed out any more: gives what waited for it. */
  stop(): readonly Held[] {
    return this.waiting.splice(0);
  }

  /** Its lease begins then. */
  lease(held: Held, fromMs: number): void {
    const { clock, holdMs } = this.settings;
    const leftMs = fromMs + holdMs - clock.now();
    if (held.lease === undefined) held.lease = this.leases.begin(held, leftMs);
    else this.leases.again(held.lease, leftMs);
  }

  /** Gives whether it was held. */
  release(held: Held): boolean {
    if (!this.has(held)) return false;
    this.all.delete(held.streamSeq);
    this.unlease(held);
    return true;
  }

  /** Releases it, and tells whoever has it. Gives whether it was held. */
  lose(held: Held, why: string): boolean {
    if (!this.release(held)) return false;
    const at = this.waiting.indexOf(held);
    if (at >= 0) this.waiting.splice(at, 1);
    const { service } = this.settings;
    held.controller.abort(new MillraceError("closed", `${service}: delivery ${held.id} is lost: ${why}`, { service }));
    return true;
  }

  /** No lease ends any more. */
  close(): void {
    this.leases.close();
  }

  private unlease({ lease }: Held): void {
    if (lease !== undefined) this.leases.drop(lease);
  }
}
