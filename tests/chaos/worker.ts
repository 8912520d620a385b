/**
 * One worker, in a process that may be killed at any moment: it says what it writes, and goes on when that was heard.
 *
 * @module
 */
import { kafkaSink } from "../../src/adapters/kafka/index.ts";
import { postgres } from "../../src/adapters/postgres/index.ts";
import { consume, each, type Part, type SinkLike, sqlSink } from "../../src/index.ts";
import { brokerOf } from "./brokers.ts";
import type { FromWorker, ToWorker, WorkerSettings } from "./messages.ts";
import { keyOf, readPayload } from "./payload.ts";

const settings = JSON.parse(process.argv[2] ?? "{}") as WorkerSettings;
const { broker, url, name, deadName, concurrency, maxInFlight, workMs, slowMs, deliveryTimeoutMs, effectsUrl, byKey, transactions, seat } = settings;
const { queue: open } = brokerOf(broker);
const queue = open(url, name);
const dead = deadName === undefined ? undefined : open(url, deadName);

const say = (message: FromWorker): void => void process.send?.(message);
/** Written in this turn, and not said yet; said together, since a message between processes costs more than what is in it. */
let batch: { readonly id: number | undefined; readonly heard: () => void }[] = [];
const saying = new Map<number, () => void>();
let said = 0;

function write(id: number | undefined): Promise<void> {
  return new Promise((heard) => {
    batch.push({ id, heard });
    if (batch.length > 1) return;
    setImmediate(() => {
      const all = batch;
      batch = [];
      said += 1;
      saying.set(said, () => {
        for (const one of all) one.heard();
      });
      say({ kind: "wrote", ids: all.map(({ id }) => id ?? -1), number: said });
    });
  });
}

const work = each(async (part: Part, { signal }) => {
  const read = readPayload([part]);
  if (read?.kind === "poison") JSON.parse("{"); // as a stage that cannot take it
  // where an order is to be kept, what comes later is often done sooner
  const ms = read?.kind === "slow" ? slowMs : byKey === true ? 2 * workMs * Math.random() : workMs;
  await new Promise((resolve) => setTimeout(resolve, ms));
  if (read?.kind === "stuck" && !seenStuck.has(read.id)) {
    seenStuck.add(read.id);
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }));
  }
  return part;
}, transactions === undefined ? {} : { concurrency: 50 });
/** A stuck message hangs once in each process. */
const seenStuck = new Set<number>();

/** Rows that are there once, whoever was killed when; a message that was sent again under its id is the same one. */
const effects = effectsUrl === undefined ? undefined : postgres({ connectionString: effectsUrl });
const inTransactions =
  transactions === undefined
    ? undefined
    : kafkaSink(queue, { topic: transactions.topic, transactionalId: `${name}-${seat}`, key: (part) => keyOf(readPayload([part])?.id ?? -1) });
const sink: SinkLike =
  inTransactions !== undefined
    ? {
        ...inTransactions,
        atomic: (delivery, writes, deliveries) =>
          inTransactions.atomic(
            delivery,
            async (target) => {
              await writes(target);
              say({ kind: "commits" });
            },
            deliveries,
          ),
      }
    : effects === undefined
    ? (part) => write(readPayload([part])?.id)
    : sqlSink(effects, {
        inbox: "effects_inbox",
        id: ({ messageId = "" }) => messageId,
        async write(session, part) {
          const id = readPayload([part])?.id;
          await session.execute({ text: "insert into effects (id) values ($1)", values: [id ?? -1] });
          await write(id);
        },
      });

const worker = consume(queue, work, sink, {
  concurrency,
  maxInFlight,
  baseMs: 50,
  maxMs: 500,
  maxDeliveries: 3,
  errorBudget: false,
  deliveryTimeoutMs,
  ...(dead === undefined ? {} : { deadLetter: dead }),
  ...(byKey === true ? { ordering: "key" } : {}),
  ...(transactions === undefined ? {} : { ordering: "strict", concurrency: 1, batch: { count: transactions.count, maxWaitMs: 200 } }),
  onEvent: ({ kind }) => void (kind === "lost" && (lost += 1)),
});
let lost = 0;
const watch = setInterval(() => say({ kind: "in flight", count: worker.counters.inFlight, lost }), 10);

process.on("message", (message: ToWorker) => {
  if (message.kind === "heard") {
    saying.get(message.number)?.();
    saying.delete(message.number);
  } else {
    const start = performance.now();
    void worker.stop({ deadlineMs: message.deadlineMs }).then(async (result) => {
      say({ kind: "stopped", ms: performance.now() - start, ...result });
      clearInterval(watch);
      await inTransactions?.close();
      await queue.close();
      await dead?.close();
      await effects?.close();
      process.disconnect();
    });
  }
});
worker.finished.catch((error: unknown) => say({ kind: "failed", why: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
say({ kind: "ready" });
