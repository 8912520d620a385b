/**
 * One reading of a queue of replies, for all calls that wait for some.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Delivery, Queue } from "../kinds/queue.ts";
import { replyIn } from "./call-headers.ts";
import { WaitingCall } from "./waiting-call.ts";

/** Milliseconds for which a reply stays away for which there was no room. */
const awayMs = 250;

/** Replies that are on their way from the queue at once: each is acknowledged as soon as a call has it, since it dies with the call. */
const maxInFlight = 64;

/** Hands replies to the calls that they belong to. What belongs to none is acknowledged: whoever called is gone. */
export class ReplyDesk {
  private readonly queue: Queue;
  private readonly maxHeld: number;
  private readonly waiting = new Map<string, WaitingCall>();
  private reading = false;
  private freed: () => void = ignore;

  /** Holds `maxHeld` replies at most that nobody has taken yet, and for each call the one that it waits for. */
  constructor(queue: Queue, maxHeld: number) {
    this.queue = queue;
    this.maxHeld = maxHeld;
  }

  /** A call from now on gets its replies. The queue is read from the first call until it is closed. */
  join(id: string): WaitingCall {
    const call = new WaitingCall(id, () => this.freed());
    this.waiting.set(id, call);
    if (!this.reading) void this.read();
    return call;
  }

  leave(call: WaitingCall): void {
    this.waiting.delete(call.id);
    call.close();
  }

  private async read(): Promise<void> {
    this.reading = true;
    let error: unknown = new MillraceError("closed", `call: ${this.queue.service} ${this.queue.name} was closed`);
    try {
      for await (const delivery of this.queue.open({ signal: new AbortController().signal, maxInFlight })) await this.hand(delivery);
    } catch (failure) {
      error = failure;
    }
    this.reading = false;
    for (const call of this.waiting.values()) call.fail(error);
  }

  /** A call that nobody reads must not hold up the others: what it has no room for comes again later, where the queue can do that. */
  private async hand(delivery: Delivery): Promise<void> {
    const { lacks, redelivery } = this.queue;
    const reply = replyIn(delivery);
    for (;;) {
      const call = reply === undefined ? undefined : this.waiting.get(reply.id);
      if (reply === undefined || call === undefined || call.take(delivery, reply, this.hasRoom(call))) {
        return void delivery.ack().catch(ignore); // what is not confirmed comes again, and is known then
      }
      if (lacks.nackDelay === undefined && redelivery !== "seek") {
        return void delivery.nack({ delayMs: awayMs, ...(lacks.uncounted === undefined ? { counted: false } : {}) }).catch(ignore);
      }
      await new Promise<void>((resolve) => (this.freed = resolve));
    }
  }

  private hasRoom(call: WaitingCall): boolean {
    let held = 0;
    for (const { size } of this.waiting.values()) held += size;
    return held < this.maxHeld && call.size < Math.max(1, Math.floor(this.maxHeld / this.waiting.size));
  }
}
