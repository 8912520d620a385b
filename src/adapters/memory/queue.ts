/**
 * A queue in memory: the reference of the kind, for tests and for work that may be lost with the process.
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { noMetadata } from "../../core/part.ts";
import { envelope, type MessageFormat, messageOf, readMessage, writeMessage } from "../../kinds/envelope.ts";
import { checkOpen, checkSend, type Delivery, type Queue, type QueueOpenOptions, settleOnce } from "../../kinds/queue.ts";
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

/** One `open`: what it holds, and what wakes it. */
interface Reader {
  readonly held: Map<Stored, AbortController>;
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
  /** Takes a message from its reader; false when it is not out by this delivery any more: the same reader may have it again by another. */
  const release = (reader: Reader, stored: Stored, delivery: AbortController): boolean => {
    if (reader.held.get(stored) !== delivery) return false;
    reader.held.delete(stored);
    inFlight -= 1;
    if (reader.drained && reader.held.size === 0) reader.forget();
    return true;
  };
  const lose = (reader: Reader, stored: Stored, delivery: AbortController, why: string): void => {
    if (!release(reader, stored, delivery)) return;
    backlog.giveBack(stored, 0);
    wakeAll();
    delivery.abort(new MillraceError("closed", `${service}: delivery ${name}/${stored.place} is lost: ${why}`, { service }));
  };

  const deliver = (reader: Reader, stored: Stored): Delivery => {
    const id = `${name}/${stored.place}`;
    const controller = new AbortController();
    reader.held.set(stored, controller);
    inFlight += 1;
    stored.attempts += 1;
    const { key, attempts } = stored;
    const { id: messageId, ...message } = readMessage(service, format, stored.body);
    const once = settleOnce(service, id);
    let stopLease = (): void => {};
    const lease = (ms: number): void => {
      stopLease();
      stopLease = clock.timeout(ms, () => lose(reader, stored, controller, "its lease is over"));
    };
    if (leaseMs !== undefined) {
      lease(leaseMs);
      controller.signal.addEventListener("abort", () => stopLease(), { once: true });
    }
    const settle = (then: () => void): Promise<void> =>
      once(() => {
        ready(undefined);
        if (!release(reader, stored, controller)) throw new MillraceError("closed", `${service}: delivery ${id} is this reader's no more`, { service });
        stopLease();
        then();
        wakeAll();
      });
    return {
      headers: noMetadata,
      ...message,
      id,
      attempt: attempts,
      ...(key === undefined ? {} : { key }),
      ...(messageId === undefined ? {} : { messageId }),
      signal: controller.signal,
      ack: () => settle(() => backlog.forget(stored)),
      async nack({ delayMs = 0, counted = true } = {}) {
        wholeNumber(`${service}: nack`, "delayMs", delayMs, 0);
        await settle(() => {
          if (!counted) stored.attempts -= 1;
          backlog.giveBack(stored, delayMs);
        });
      },
      ...(leaseMs === undefined
        ? {}
        : {
            async extend(ms: number) {
              wholeNumber(`${service}: extend`, "ms", ms, 1);
              if (reader.held.get(stored) !== controller) throw new MillraceError("closed", `${service}: delivery ${id} is this reader's no more`, { service });
              lease(ms);
            },
          }),
    };
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
      for (const [stored, delivery] of reader.held) lose(reader, stored, delivery, "its reader has left");
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
    const reader: Reader = { held: new Map(), wake: () => {}, drained: drain?.aborted === true, forget };
    ready(signal);
    readers.add(reader);
    signal.addEventListener("abort", leave, { once: true }); // also of a reader that nobody pulls any more
    drain?.addEventListener("abort", drained, { once: true });
    let ended = false;
    try {
      while (!reader.drained) {
        const stored = reader.held.size < maxInFlight ? backlog.take(reader) : undefined;
        if (stored === undefined) await changed(reader, signal);
        else yield deliver(reader, stored);
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
    for (const { held } of readers) for (const controller of held.values()) controller.abort(new MillraceError("closed", `${service}: the queue is closed`, { service }));
    for (const { held } of readers) held.clear();
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
      return add(body.slice(), key, 0);
    },
    open(opening) {
      checkOpen(declared, opening);
      return open(opening);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
