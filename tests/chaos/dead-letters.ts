/**
 * What was set aside.
 *
 * @module
 */
import type { Broker } from "./brokers.ts";
import { readPayload } from "./payload.ts";

/** Milliseconds without another dead letter: when there are as many as there should be, and when there are not. */
const idleMs = 3_000;
const patienceMs = 40_000;

/** The numbers of the messages in a queue of dead letters; reads until it has so many and no more come. */
export async function deadLetters(broker: Broker, url: string, name: string, expected: number): Promise<ReadonlySet<number>> {
  await using queue = broker.queue(url, name);
  const found = new Set<number>();
  const drain = new AbortController();
  const controller = new AbortController();
  let timer = setTimeout(() => drain.abort(), patienceMs);
  for await (const delivery of queue.open({ signal: controller.signal, drain: drain.signal, maxInFlight: 10 })) {
    const read = readPayload(delivery.parts);
    found.add(read?.id ?? -1);
    await delivery.ack();
    clearTimeout(timer);
    timer = setTimeout(() => drain.abort(), found.size >= expected ? idleMs : patienceMs);
  }
  clearTimeout(timer);
  controller.abort();
  return found;
}
