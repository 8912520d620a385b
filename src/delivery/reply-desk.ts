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

/** Bytes of replies that are held for all calls of a queue at most, besides the next one of each: as many as one request may have. */
const defaultMaxBytes = 67_108_864;

/** Of each queue there is one: of two the one would take the replies of the other's calls. */
const desks = new WeakMap<Queue, ReplyDesk>();

/** The desk of a queue. */
export function replyDesk(queue: Queue): ReplyDesk {
  const known = desks.get(queue);
  if (known !== undefined) return known;
  const desk = new ReplyDesk(queue);
  desks.set(queue, desk);
  return desk;
}

/**
 * Hands replies to the calls that they belong to. What belongs to none is acknowledged: whoever called is gone.
 *
 * Of what nobody has taken yet it holds a number of replies and of bytes, a share of them for each call, and for each call the reply that
 * it waits for. The others come again later, where the queue can put them off. Where it cannot, the next one is waited with until there is
 * room: so a slow reader slows down its sender. But as soon as a call waits for what may stand behind it, all are taken up to the bytes;
 * then the call that holds most fails.
 */
export class ReplyDesk {
  private readonly queue: Queue;
  private readonly maxBytes: number;
  private readonly waiting = new Map<string, WaitingCall>();
  private reading = false;
  private changed: () => void = ignore;

  constructor(queue: Queue, maxBytes: number = defaultMaxBytes) {
    this.queue = queue;
    this.maxBytes = maxBytes;
  }

  /** A call from now on gets its replies, of which `maxHeld` may be held. The queue is read from the first call until it is closed. */
  join(id: string, maxHeld: number): WaitingCall {
    const call = new WaitingCall(id, maxHeld, () => this.changed());
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

  private async hand(delivery: Delivery): Promise<void> {
    const { lacks } = this.queue;
    const reply = replyIn(delivery);
    for (;;) {
      const call = reply === undefined ? undefined : this.waiting.get(reply.id);
      if (reply === undefined || call === undefined || call.take(delivery, reply, (bytes) => this.hasRoom(call, bytes))) {
        return void delivery.ack().catch(ignore); // what is not confirmed comes again, and is known then
      }
      if (this.putsOff) return void delivery.nack({ delayMs: awayMs, ...(lacks.uncounted === undefined ? { counted: false } : {}) }).catch(ignore);
      if (this.starves) this.largest(call).fail(this.tooLarge());
      else await new Promise<void>((resolve) => (this.changed = resolve));
    }
  }

  private hasRoom(call: WaitingCall, bytes: number): boolean {
    const calls = this.waiting.size;
    let [held, heldBytes, maxHeld] = [0, 0, 0];
    for (const each of this.waiting.values()) {
      held += each.size;
      heldBytes += each.bytes;
      maxHeld = Math.max(maxHeld, each.maxHeld);
    }
    if (heldBytes + bytes > this.maxBytes) return false;
    if (!this.putsOff && this.starves) return true;
    const share = Math.max(1, Math.min(call.maxHeld, Math.floor(maxHeld / calls)));
    return held < maxHeld && call.size < share && call.bytes + bytes <= this.maxBytes / calls;
  }

  private get putsOff(): boolean {
    const { lacks, redelivery } = this.queue;
    return lacks.nackDelay === undefined && redelivery !== "seek"; // a log holds up what stands behind it
  }

  /** Does any call wait? What it waits for may stand behind the reply at hand. */
  private get starves(): boolean {
    for (const call of this.waiting.values()) if (call.starves) return true;
    return false;
  }

  /** The call that most is held for, this one if none is larger. */
  private largest(call: WaitingCall): WaitingCall {
    let largest = call;
    for (const each of this.waiting.values()) if (each.bytes > largest.bytes) largest = each;
    return largest;
  }

  /** Of scope `delivery`: at another time it may be read faster. */
  private tooLarge(): MillraceError {
    const { service, name, lacks } = this.queue;
    const why = lacks.nackDelay ?? "it is a log";
    const message = `call: more than ${this.maxBytes} bytes of replies would be held, most for this call, while others wait for theirs behind them, which ${service} ${name} cannot put off: ${why}`;
    return new MillraceError("too_large", message, { scope: "delivery" });
  }
}
