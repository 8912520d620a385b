import { PGlite } from "@electric-sql/pglite";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PostgresQueue, postgresQueue } from "./postgres-queue-support.ts";
import { type Delivery, isText, text } from "../../src/index.ts";

const word = ({ parts: [part] }: Delivery): string => (part !== undefined && isText(part) ? part.text : "?");

/** Messages with and without keys, whose claims are different statements. */
describe("postgresQueue with keys in some messages", () => {
  let client: PGlite;
  let count = 0;
  beforeAll(async () => {
    client = await PGlite.create();
  }, 120_000);
  afterAll(() => client.close());
  const made = async (archive = false): Promise<PostgresQueue> => {
    count += 1;
    const queue = postgresQueue({ client, table: `mixed_${count}`, ...(archive ? { archive: `kept_${count}` } : {}) });
    await queue.setup();
    return queue;
  };
  async function* reading(queue: PostgresQueue, maxInFlight: number): AsyncGenerator<Delivery, void> {
    const stop = new AbortController();
    try {
      yield* queue.open({ signal: stop.signal, maxInFlight });
    } finally {
      stop.abort();
    }
  }

  test("the first with a key is not passed over by a backlog without", async () => {
    await using queue = await made();
    for (const n of [1, 2, 3]) await queue.send([text(`u${n}`)]);
    const seen: string[] = [];
    for await (const delivery of reading(queue, 2)) {
      seen.push(word(delivery));
      if (seen.length === 2) {
        await queue.send([text("k1")], { key: "k" });
        for (const n of [4, 5, 6]) await queue.send([text(`u${n}`)]);
      }
      await delivery.ack();
      if (seen.length === 7) break;
    }
    expect(seen).toEqual(["u1", "u2", "u3", "k1", "u4", "u5", "u6"]);
  });

  const message = fc.record({ key: fc.constantFrom(undefined, undefined, "a", "b"), after: fc.nat(8) });
  test.each([false, true])("all come once, in the order of their key, whenever they are sent, and nothing is left of them (archive: %s)", async (archive) => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 5 }), async (messages, maxInFlight) => {
        await using queue = await made(archive);
        const sent: (readonly [string | undefined, string])[] = [];
        const waiting = messages.map((it, n) => ({ ...it, name: `m${n}` }));
        const seen: (readonly [string | undefined, string])[] = [];
        /** Sends those whose time has come; all, where nothing would come else. */
        const send = async (): Promise<void> => {
          while (waiting[0] !== undefined && (waiting[0].after <= seen.length || sent.length === seen.length)) {
            const { key, name } = waiting.shift()!;
            await queue.send([text(name)], key === undefined ? {} : { key });
            sent.push([key, name]);
          }
        };
        await send();
        for await (const delivery of reading(queue, maxInFlight)) {
          seen.push([delivery.key, word(delivery)]);
          await delivery.ack();
          if (seen.length === messages.length) break;
          await send();
        }
        for (const key of [undefined, "a", "b"]) expect(seen.filter((it) => it[0] === key)).toEqual(sent.filter((it) => it[0] === key));
        const left = async (table: string): Promise<unknown> => (await client.query(`select count(*)::int as count from ${table}`)).rows;
        expect(await left(queue.name)).toEqual([{ count: 0 }]);
        if (archive) expect(await left(`kept_${count}`)).toEqual([{ count: messages.length }]);
      }),
      { numRuns: Math.min(25, Number(process.env.PROPERTY_RUNS ?? 200)) },
    );
  }, 120_000);
});
