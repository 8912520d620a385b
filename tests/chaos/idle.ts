/**
 * Readers that get nothing: what they hold, whether that grows, and whether it is all given back.
 *
 * @module
 */
import { getEventListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Queue, text } from "../../src/index.ts";

/** Queues, and how many read each. */
export interface Waiting {
  readonly queues: readonly Queue[];
  readonly readersOfEach: number;
  /** Sends what each reader gets one message of, where a message goes to all that read, and not to one of them. */
  sendAll?(): Promise<void>;
  /** Of the process when all wait, at least; where the server cannot be asked. */
  readonly sockets?: number;
  /** Readers, or subscriptions, that the server knows of; where it can be asked. */
  known?(): Promise<number>;
  close(): Promise<void>;
}

/** What the process holds. */
export interface Held {
  readonly heap: number;
  /** Of the whole process: the collector gives pages back when it likes, so it says less than the heap. */
  readonly rss: number;
  readonly sockets: number;
  readonly timers: number;
  /** On the signal that all readers share. */
  readonly listeners: number;
}

/** What was found. */
export interface Idled {
  readonly readers: number;
  readonly before: Held;
  readonly open: Held;
  readonly later: Held;
  readonly left: Held;
  readonly closed: Held;
  /** Deliveries that were due after the wait, and that came: each to a reader of its own, as none acknowledges before all are there. */
  readonly due: number;
  readonly received: number;
  /** Share of one processor while nothing came. */
  readonly busy: number;
}

/** Messages that are sent at last, where each goes to one reader. */
const messages = 100;
/** Milliseconds for all of it that depends on a server. */
const patienceMs = 90_000;

/** Opens the readers, looks twice, gives each a message, lets all leave, and closes. */
export async function idle(open: () => Promise<Waiting>, idleMs: number): Promise<Idled> {
  const before = held(undefined);
  const during = await wait(open, idleMs);
  await quiet();
  return { before, ...during, closed: held(undefined) }; // by now nobody has the queues any more
}

async function wait(open: () => Promise<Waiting>, idleMs: number): Promise<Omit<Idled, "before" | "closed">> {
  const { queues, readersOfEach, sendAll, sockets = 0, known, close } = await open();
  const readers = queues.length * readersOfEach;
  const leaving = new AbortController();
  const { signal } = leaving;
  let failure: { readonly error: unknown } | undefined;
  const due = sendAll !== undefined ? readers : Math.min(messages, readers);
  let received = 0;
  const all = Promise.withResolvers<void>();
  const reading = queues.flatMap((queue) =>
    Array.from({ length: readersOfEach }, async () => {
      try {
        for await (const delivery of queue.open({ signal, maxInFlight: 1 })) {
          received += 1;
          if (received === due) all.resolve();
          await all.promise; // so that nobody has two
          await delivery.ack();
        }
      } catch (error) {
        if (error !== signal.reason) failure ??= { error };
      }
    }),
  );
  const holds = async (what: string, is: () => Promise<boolean> | boolean): Promise<void> => {
    for (const start = performance.now(); !(await is()); await pause(100)) {
      if (failure !== undefined) throw failure.error;
      if (performance.now() - start > patienceMs) throw new Error(`not in ${patienceMs / 1_000} s: ${what}`);
    }
  };
  if (known !== undefined) await holds(`the server knows all ${readers} readers`, async () => (await known()) === readers);
  await holds(`there are ${sockets} sockets`, () => socketCount() >= sockets);
  await quiet();
  const opened = held(signal);
  const used = process.cpuUsage();
  await pause(idleMs);
  const { user, system } = process.cpuUsage(used);
  const later = held(signal);
  if (sendAll !== undefined) await sendAll();
  else await Promise.all(Array.from({ length: due }, async (_, n) => queues[n % queues.length]?.send([text("one")])));
  await holds(`all ${due} deliveries came`, () => received >= due);
  await quiet();
  leaving.abort(new Error("enough"));
  await Promise.all(reading);
  if (failure !== undefined) throw failure.error;
  if (known !== undefined) await holds("the server knows no reader any more", async () => (await known()) === 0);
  await quiet();
  const left = held(signal);
  for (const queue of queues) await queue.close();
  await close();
  return { readers, open: opened, later, left, due, received, busy: (user + system) / 1_000 / idleMs };
}

function held(signal: AbortSignal | undefined): Held {
  collect();
  collect();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, rss, sockets: socketCount(), timers: countOf("Timeout"), listeners: signal === undefined ? 0 : getEventListeners(signal, "abort").length };
}

function countOf(kind: string): number {
  return process.getActiveResourcesInfo().filter((each) => each === kind).length;
}

function socketCount(): number {
  return countOf("TCPSocketWrap");
}

/** Until this process has next to nothing to do, or some seconds have passed: some readers look by themselves now and then. */
async function quiet(): Promise<void> {
  for (let calm = 0, looked = 0; calm < 2 && looked < 80; looked += 1) {
    const used = process.cpuUsage();
    const start = performance.now();
    await pause(100);
    const { user, system } = process.cpuUsage(used);
    const starved = performance.now() - start > 200; // it would have done more if it had been let
    calm = user + system < 20_000 && !starved ? calm + 1 : 0; // microseconds
  }
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
