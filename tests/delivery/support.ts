/**
 * What the tests of delivery share.
 *
 * @module
 */
import { type MemoryQueue, memoryQueue, type MemoryQueueOptions } from "../../src/adapters/memory/index.ts";
import { isText, type MillraceError, type Part, text } from "../../src/index.ts";
import type { DeadLetter } from "../../src/delivery/dead-letter.ts";
import { letterIn } from "../../src/delivery/dead-letter.ts";
import type { WorkerEvent } from "../../src/delivery/events.ts";
import type { Sink, SinkContext } from "../../src/delivery/sinks.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";
import type { FakeClock } from "../../src/testing/index.ts";

/** Lets everything go on that waits for nothing but its turn. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
}

/** Waits, turn by turn, until something holds; a fake clock is moved on by so much each time. */
export async function until(holds: () => boolean, clock?: FakeClock, stepMs = 500): Promise<void> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    if (holds()) return;
    if (clock === undefined) await turns(1);
    else await clock.advance(stepMs);
  }
  throw new Error("it never held");
}

/** A queue in memory with messages of one text each, of the ids m1, m2 and so on. */
export async function filled(words: readonly string[], options: MemoryQueueOptions & { readonly key?: (word: string) => string } = {}): Promise<MemoryQueue> {
  const { key, ...rest } = options;
  const queue = memoryQueue({ name: "q", ...rest });
  for (const [n, word] of words.entries()) await queue.send([text(word)], { id: `m${n + 1}`, ...(key === undefined ? {} : { key: key(word) }) });
  return queue;
}

/** What a sink was given: the text, and the key. */
export interface Written {
  readonly word: string;
  readonly key: string;
}

/** A sink that remembers. */
export function written(): Sink & { readonly all: Written[]; readonly words: string[] } {
  const all: Written[] = [];
  return {
    guarantee: "confirmed",
    all,
    get words() {
      return all.map(({ word }) => word);
    },
    async write(part: Part, { key }: SinkContext) {
      all.push({ word: wordOf(part), key });
    },
  };
}

/** The text of a part, its kind if it has none. */
export const wordOf = (part: Part | undefined): string => (part === undefined ? "nothing" : isText(part) ? part.text : part.kind);

/** The first word of a delivery. */
export const firstWord = ({ parts }: Delivery): string => wordOf(parts[0]);

/** A promise that is settled from outside. */
export function gate(): { readonly promise: Promise<void>; open(): void } {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open: () => open() };
}

/** A listener that remembers. */
export function heardEvents(): { readonly all: WorkerEvent[]; readonly onEvent: (event: WorkerEvent) => void; kinds(): string[]; of<K extends WorkerEvent["kind"]>(kind: K): Extract<WorkerEvent, { readonly kind: K }>[] } {
  const all: WorkerEvent[] = [];
  return {
    all,
    onEvent: (event) => void all.push(event),
    kinds: () => all.map(({ kind }) => kind),
    of: <K extends WorkerEvent["kind"]>(kind: K) => all.filter((event): event is Extract<WorkerEvent, { readonly kind: K }> => event.kind === kind),
  };
}

/** What is in a queue, taken out. */
export async function drained(queue: MemoryQueue): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  const count = queue.counts.waiting;
  if (count === 0) return deliveries;
  for await (const delivery of queue.open({ signal: new AbortController().signal, maxInFlight: 10_000 })) {
    deliveries.push(delivery);
    await delivery.ack();
    if (deliveries.length === count) break;
  }
  return deliveries;
}

/** The dead letters in a queue, and the first words of their messages. */
export async function lettersIn(queue: MemoryQueue): Promise<{ readonly word: string; readonly letter: DeadLetter | undefined }[]> {
  return (await drained(queue)).map((delivery) => ({ word: firstWord(delivery), letter: letterIn(delivery) }));
}

/** The same queue, but for what is said otherwise. */
export function like(queue: Queue, changes: Partial<Queue>): Queue {
  return {
    service: queue.service,
    name: queue.name,
    guarantee: queue.guarantee,
    redelivery: queue.redelivery,
    durable: queue.durable,
    ...(queue.leaseMs === undefined ? {} : { leaseMs: queue.leaseMs }),
    lacks: queue.lacks,
    send: (parts, options) => queue.send(parts, options),
    open: (options) => queue.open(options),
    close: () => queue.close(),
    [Symbol.asyncDispose]: () => queue.close(),
    ...changes,
  };
}

/** The same queue, whose deliveries are changed. */
export function likeDeliveries(queue: Queue, change: (delivery: Delivery) => Delivery, changes: Partial<Queue> = {}): Queue {
  return like(queue, {
    async *open(options) {
      for await (const delivery of queue.open(options)) yield change(delivery);
    },
    ...changes,
  });
}

/** What a stream gave before it failed, and how it failed. */
export async function failureOf(parts: AsyncIterable<Part>): Promise<{ readonly words: string[]; readonly error: MillraceError }> {
  const words: string[] = [];
  try {
    for await (const part of parts) words.push(wordOf(part));
  } catch (error) {
    return { words, error: error as MillraceError };
  }
  throw new Error(`did not fail, gave ${words.join()}`);
}
