// A transactional outbox: an order is stored, and the message about it written, in one transaction of one database. `relay` carries the
// messages to the broker. What it had sent when it died it sends again, under the same message id, and the reader knows that it has it.
//
// prints: order 2: there are no unicorns
// prints: stored: 1 kettle, 3 teapot
// prints: the relay died; the broker has 1 message
// prints: the next one went on; the broker has 3 messages
// prints: delivered 3, booked: 1 kettle, 3 teapot
import { PGlite } from "@electric-sql/pglite";
import { consume, type ConsumeOptions, isJson, isMillraceError, json, MillraceError, pipe, type Queue, relay, type SqlDatabase, sqlSink, type Worker } from "millrace";
import { memoryQueue } from "millrace/adapters/memory";
import { postgres, postgresQueue } from "millrace/adapters/postgres";

// The databases of two services, in this process. In earnest `{ connectionString: "postgres://…" }` in place of `{ client }`.
const [shop, warehouse] = [await PGlite.create(), await PGlite.create()];
const [orders, stock] = [postgres({ client: shop }), postgres({ client: warehouse })];
const outbox = postgresQueue({ client: shop, table: "outbox" });
await outbox.setup();
await orders.execute({ text: "create table orders (id integer primary key, item text not null)" });
await stock.execute({ text: "create table booked (id integer primary key, item text not null)" });

// In its place redisStreams({ url: …, stream: "orders" }), kafka({ brokers: …, topic: "orders", group: "warehouse" }) or another broker.
const broker = memoryQueue({ name: "orders" });

/** Stores an order, and what others are to hear of it: both or neither. */
async function place(id: number, item: string): Promise<void> {
  await orders.transaction(async (session) => {
    await session.execute({ text: "insert into orders values ($1, $2)", values: [id, item] });
    await outbox.sendWithin(session, [json({ id, item })], { id: `order-${id}` });
    if (item === "unicorn") throw new MillraceError("invalid_input", "there are no unicorns");
  });
}

async function all(sql: SqlDatabase, table: "orders" | "booked"): Promise<string> {
  const { rows } = await sql.execute({ text: `select id, item from ${table} order by id` });
  return rows.map(({ id, item }) => `${id} ${item}`).join(", ");
}

/** Starts a worker, and stops it when it has acknowledged so many. */
async function settled(count: number, start: (options: Pick<ConsumeOptions, "onEvent">) => Worker): Promise<Worker> {
  const worker = start({ onEvent: ({ kind }) => void (kind === "acked" && --count === 0 && worker.stop()) });
  await worker.finished;
  return worker;
}

await place(1, "kettle");
await place(2, "unicorn").catch((error: unknown) => console.log("order 2:", isMillraceError(error) && error.message));
await place(3, "teapot");
console.log("stored:", await all(orders, "orders"));

// A relay that dies when the broker has its first message, and it has not heard so. Here it gives back what it held; that of a process which
// was killed is somebody else's when its lease is over.
const death = new AbortController();
const unheard: Queue["send"] = async (parts, options) => {
  await broker.send(parts, options);
  death.abort(new Error("died"));
  return new Promise(() => {});
};
const ackOn = "handoff"; // the broker of this sample is in memory; leave this out with a real one
await relay(outbox, { ...broker, send: unheard }, { ackOn, concurrency: 1, signal: death.signal }).finished.catch(() => {});
console.log(`the relay died; the broker has ${broker.counts.waiting} message`);
await settled(2, (options) => relay(outbox, broker, { ...options, ackOn }));
console.log(`the next one went on; the broker has ${broker.counts.waiting} messages`);

// The reader's database remembers message ids, in the transaction that books: the second message of order 1 changes nothing.
const book = sqlSink(stock, {
  inbox: "orders_inbox",
  id: ({ id, messageId }) => messageId ?? id,
  async write(session, part) {
    if (!isJson(part)) return;
    const { id, item } = part.value as { readonly id: number; readonly item: string };
    await session.execute({ text: "insert into booked values ($1, $2)", values: [id, item] });
  },
});
await book.setup();
const { counters } = await settled(3, (options) => consume(broker, pipe(), book, options));
console.log(`delivered ${counters.acked}, booked: ${await all(stock, "booked")}`);
for (const it of [broker, outbox, orders, stock, shop, warehouse]) await it.close(); // who uses a client before the client
