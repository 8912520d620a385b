/**
 * Ten thousand readers that get nothing: what they hold, and whether that grows.
 *
 * Of NATS alone, whose readers share a connection: elsewhere each has one of its own, and it is connections that run out.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { nats } from "../../src/adapters/nats/index.ts";
import { text } from "../../src/index.ts";
import type { RowResult } from "./rows.ts";

const readers = 10_000;
/** Milliseconds between the two looks. */
const idleMs = 30_000;
/** Bytes by which the heap may differ between the looks, and after all have left. */
const slack = 8 * 2 ** 20;

/** Opens them, looks twice, sends one message, and lets all leave. */
export async function idleReaders(url: string): Promise<RowResult> {
  const start = performance.now();
  await using queue = nats({ url, stream: `chaos-idle-${Date.now().toString(36)}` });
  await queue.setup({ maxReaders: readers });
  const before = heap();
  const leaving = new AbortController();
  let received = 0;
  const reading = Array.from({ length: readers }, async () => {
    try {
      for await (const delivery of queue.open({ signal: leaving.signal, maxInFlight: 1 })) {
        received += 1;
        await delivery.ack();
      }
    } catch (error) {
      if (error !== leaving.signal.reason) throw error;
    }
  });
  await pause(5_000); // all of them have asked
  const open = heap();
  await pause(idleMs);
  const later = heap();
  await queue.send([text("one")]);
  await pause(1_000);
  leaving.abort(new Error("enough"));
  await Promise.all(reading);
  await pause(3_000); // leaving waits for what was on its way
  const after = heap();
  const complaints = [
    ...(later - open > slack ? [`the heap grew by ${later - open} bytes in ${idleMs} ms`] : []),
    ...(after - before > slack ? [`${after - before} bytes were left when all had gone`] : []),
    ...(received === 1 ? [] : [`one message was received ${received} times`]),
  ];
  const explained = `${((open - before) / readers / 1_024).toFixed(1)} KiB a reader; after ${idleMs / 1_000} s ${((later - open) / 2 ** 20).toFixed(1)} MiB more, when all had left ${((after - before) / 2 ** 20).toFixed(1)} MiB`;
  return { row: `${readers.toLocaleString("en")} readers that wait`, messages: 1, lost: 1 - received, duplicates: 0, explained, seconds: (performance.now() - start) / 1_000, complaints };
}

function heap(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The collector, whether the program was started with a flag for it or not. */
function collect(): void {
  setFlagsFromString("--expose-gc");
  const gc: unknown = runInNewContext("gc");
  if (typeof gc === "function") gc();
}
