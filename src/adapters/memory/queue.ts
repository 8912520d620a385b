/**
 * A queue in memory: the reference of the kind, for tests and for work that may be lost with the process.
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { ignore } from "../../core/flow.ts";
import { LinkedList, type ListNode } from "../../core/linked-list.ts";
import { envelope, type MessageFormat, messageOf, readMessage, writeMessage } from "../../kinds/envelope.ts";
import { handOut, type Hands } from "../../kinds/hand-out.ts";
import { checkOpen, checkSend, type Delivery, type Queue, type QueueOpenOptions } from "../../kinds/queue.ts";
import { Backlog, type Stored } from "./backlog.ts";

const service = "memory";

/** Of a queue in memory. */
export interface MemoryQueueOptions {
  /** Begins the ids of deliveries. @default "queue" */
  readonly name?: string;
  /** Messages that are not settled, at most. @default 10_000 */
  readonly maxMessages?: number;
  /** Milliseconds after which an unsettled message goes to somebody else. @default never, while its reader is there */
  readonly leaseMs?: number;
  /** What bodies look like. @default `envelope()` */
  readonly format?: MessageFormat;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** A queue in memory, which can be looked into. */
export interface MemoryQueue extends Queue {
  /** Messages by where they stand. */
  readonly counts: { readonly waiting: number; readonly delayed: number; readonly inFlight: number };
  /** Puts a body as it is, as a foreign sender would. Gives its place. */
  put(body: Uint8Array, options?: { readonly key?: string }): string;
}

/** A message that is out. */
class Out {
  readonly stored: Stored;
  readonly controller: AbortController = new AbortController();
  readonly node: ListNode<Out>;
  stopLease: () => void = ignore;

  constructor(stored: Stored, held: LinkedList<Out>) {
    this.stored = stored;
    this.node = held.push(this);
  }
}

/** One `open`: what it holds, and what wakes it. */
interface Reader {
  readonly held: LinkedList<Out>;
  wake: () => void;
  /** It gets no more, and is forgotten with the last that it holds. */
  drained: boolean;
  forget: () => void;
}

/**
 * Carries messages in memory, as bytes in the form that brokers get. Nothing survives the process.
 *
 * A key is with one reader at a time: while one holds a message of it, no other gets the next.
 *
 * Throws: as every queue; `unavailable` when `maxMessages` are unsettled.
 * Closes: forgets all it holds; whoever waits for a message gets `closed`.
 *
 * @example
 * await using queue = memoryQueue({ name: "jobs" });
 * await queue.send([text("hello")]);
 * const reading = new AbortController();
 * for await (const delivery of queue.open({ signal: reading.signal, maxInFlight: 1 })) {
 *   console.log(delivery.id, delivery.attempt, delivery.parts.length); // jobs/1 1 1
 *   await delivery.ack();
 *   break;
 * }
 */
export function memoryQueue(options: MemoryQueueOptions = {}): MemoryQueue {
  const { name = "queue", format = envelope(), clock = systemClock, leaseMs } = options;
  if (typeof name !== "string" || !/^[\w.-]{1,128}$/.test(name)) throw invalidOption("memoryQueue", "name", "1 to 128 letters, digits, '.', '_' and '-'", name);
  const maxMessages = wholeNumber("memoryQueue", "maxMessages", options.maxMessages ?? 10_000, 1);
  if (leaseMs !== undefined) wholeNumber("memoryQueue", "leaseMs", leaseMs, 1);
  const declared: Pick<Queue, "service" | "lacks"> = { service, lacks: {} };
  const backlog = new Backlog(clock);
  const readers = new Set<Reader>();
  let inFlight = 0;
  let closed = false;

  const ready = (signal: AbortSignal | undefined): void => {
    if (closed) throw new MillraceError("closed", `${service}: the queue is closed`, { service });
    signal?.throwIfAborted();
  };
  const wakeAll = (): void => {
    for (const reader of readers) reader.wake();
  };
  const add = (body: Uint8Array, key: string | undefined, delayMs: number): string => {
    if (backlog.size + inFlight >= maxMessages) {
      throw new MillraceError("unavailable", `${service}: ${name} is full, ${maxMessages} messages are not settled`, { service });
    }
    const stored = backlog.add(body, key, delayMs);
    wakeAll();
    return `${name}/${stored.place}`;
  };
  const idOf = ({ place }: Stored): string => `${name}/${place}`;
  const goneError = ({ stored }: Out): MillraceError => new MillraceError("closed", `${service}: delivery ${idOf(stored)} is this reader's no more`, { service });
  /** Takes a message from its reader; false when it is not out by this delivery any more: the same reader may have it again by another. */
  const release = (reader: Reader, out: Out): boolean => {
    if (!reader.held.delete(out.node)) return false;
    out.stopLease();
    inFlight -= 1;
    if (reader.drained && reader.held.size === 0) reader.forget();
    return true;
  };
  const lose = (reader: Reader, out: Out, why: string): void => {
    if (!release(reader, out)) return;
    backlog.giveBack(out.stored, 0);
    wakeAll();
    out.controller.abort(new MillraceError("closed", `${service}: delivery ${idOf(out.stored)} is lost: ${why}`, { service }));
  };
  const lease = (reader: Reader, out: Out, ms: number): void => {
    out.stopLease();
    out.stopLease = clock.timeout(ms, () => lose(reader, out, "its lease is over"));
  };
  const settle = (reader: Reader, out: Out, then: () => void): void => {
    ready(undefined);
    if (!release(reader, out)) throw goneError(out);
    then();
    wakeAll();
  };
  const handsOf = (reader: Reader): Hands<Out> => ({
    ...declared,
    ack: (out) => settle(reader, out, () => backlog.forget(out.stored)),
    nack: (out, { delayMs, counted }) =>
      settle(reader, out, () => {
        if (!counted) out.stored.attempts -= 1;
        backlog.giveBack(out.stored, delayMs);
      }),
    ...(leaseMs === undefined
      ? {}
      : {
          extend(out: Out, ms: number) {
            if (!reader.held.has(out.node)) throw goneError(out);
            lease(reader, out, ms);
          },
        }),
  });
  const deliver = (reader: Reader, hands: Hands<Out>, stored: Stored): Delivery => {
    const out = new Out(stored, reader.held);
    inFlight += 1;
    stored.attempts += 1;
    if (leaseMs !== undefined) lease(reader, out, leaseMs);
    const { key, attempts } = stored;
    return handOut(hands, out, readMessage(service, format, stored.body), { id: idOf(stored), attempt: attempts, key, signal: out.controller.signal });
  };

  /** Waits until something may have changed: a message came, one is due, one was settled. */
  const changed = (reader: Reader, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const dueMs = backlog.nextDueMs;
      const cancel = dueMs === undefined ? undefined : clock.timeout(dueMs - clock.now(), () => reader.wake());
      const aborted = (): void => {
        done();
        reject(signal.reason);
      };
      const done = (): void => {
        cancel?.();
        reader.wake = () => {};
        signal.removeEventListener("abort", aborted);
      };
      reader.wake = () => {
        done();
        resolve();
      };
      signal.addEventListener("abort", aborted, { once: true });
    });

  async function* open({ signal, drain, maxInFlight }: QueueOpenOptions): AsyncGenerator<Delivery, void> {
    const leave = (): void => {
      reader.forget();
      for (const out of reader.held) lose(reader, out, "its reader has left");
    };
    const drained = (): void => {
      reader.drained = true;
      reader.wake();
    };
    const forget = (): void => {
      readers.delete(reader);
      signal.removeEventListener("abort", leave);
      drain?.removeEventListener("abort", drained);
    };
    const reader: Reader = { held: new LinkedList(), wake: () => {}, drained: drain?.aborted === true, forget };
    const hands = handsOf(reader);
    ready(signal);
    readers.add(reader);
    signal.addEventListener("abort", leave, { once: true }); // also of a reader that nobody pulls any more
    drain?.addEventListener("abort", drained, { once: true });
    let ended = false;
    try {
      while (!reader.drained) {
        const stored = reader.held.size < maxInFlight ? backlog.take(reader) : undefined;
        if (stored === undefined) await changed(reader, signal);
        else yield deliver(reader, hands, stored);
        ready(signal);
      }
      ended = true;
    } finally {
      if (!ended) leave();
      else if (reader.held.size === 0) forget();
    }
  }

  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    for (const { held } of readers) {
      for (const { controller, stopLease } of held) {
        stopLease();
        controller.abort(new MillraceError("closed", `${service}: the queue is closed`, { service }));
      }
      held.clear();
    }
    inFlight = 0;
    backlog.clear();
    wakeAll();
  };

  return {
    ...declared,
    name,
    guarantee: "at-least-once",
    redelivery: leaseMs === undefined ? "nack" : "lease",
    durable: false,
    ...(leaseMs === undefined ? {} : { leaseMs }),
    get counts() {
      return { ...backlog.counts, inFlight };
    },
    async send(parts, sending = {}) {
      ready(sending.signal);
      checkSend(declared, sending);
      const message = messageOf(parts, sending);
      return { id: add(writeMessage(service, format, message), sending.key, sending.delayMs ?? 0), messageId: message.id };
    },
    put(body, { key } = {}) {
      ready(undefined);
      checkSend(declared, key === undefined ? {} : { key });
      return add(new Uint8Array(body), key, 0);
    },
    open(opening) {
      checkOpen(declared, opening);
      return open(opening);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
