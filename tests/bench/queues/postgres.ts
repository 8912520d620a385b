/**
 * The queue in Postgres against a loop on `pg` as one writes it by hand: claimed with `skip locked` and a lease, acknowledged by the claim.
 *
 * @module
 */
import pg from "pg";
import { postgresQueue } from "../../../src/adapters/postgres/index.ts";
import { consume, isText, pipe, publish, run, text } from "../../../src/index.ts";
import { envelope } from "../../../src/kinds/envelope.ts";
import { inFlight, type QueueBench, type QueueBenchOf } from "./queue-bench.ts";

/** As many as the queue opens by itself. */
const connections = 10;
const word = "x".repeat(100);
const leaseSeconds = 30;

export const postgresBench: QueueBenchOf = {
  name: "postgres",
  service: "postgres",
  async open(url): Promise<QueueBench> {
    const pool = new pg.Pool({ connectionString: url, max: connections });
    pool.on("error", () => {});
    const queue = postgresQueue({ connectionString: url, table: "bench_ours", connections });
    await pool.query("drop table if exists bench_ours, bench_by_hand");
    await queue.setup();
    await pool.query(`create table bench_by_hand (
      id bigint generated always as identity primary key, body bytea not null, attempts integer not null default 0,
      visible_at timestamptz not null default now(), claim uuid
    )`);
    await pool.query("create index on bench_by_hand (visible_at, id)");
    const format = envelope();
    const body = Buffer.from(format.write({ id: crypto.randomUUID(), parts: [text(word)], correlationId: crypto.randomUUID(), headers: {}, sentAtMs: Date.now() }));
    const take = (value: unknown): Promise<void> => (value === undefined ? Promise.reject(new Error("no message")) : Promise.resolve());

    interface Row {
      readonly id: string;
      readonly body: Buffer;
    }
    const claiming = async (count: number, work: (rows: readonly Row[], claim: string) => Promise<number>): Promise<number> => {
      let received = 0;
      while (received < count) {
        const claim = crypto.randomUUID();
        const { rows } = await pool.query<Row>(
          `update bench_by_hand set visible_at = now() + interval '${leaseSeconds} seconds', attempts = attempts + 1, claim = $1
           where id = any (array(select id from bench_by_hand where visible_at <= now() order by visible_at, id limit $2 for update skip locked))
           returning id, body, attempts`,
          [claim, inFlight],
        );
        received += await work(rows, claim);
      }
      return received;
    };

    return {
      async fill(count) {
        await pool.query("truncate bench_ours, bench_by_hand");
        await pool.query("insert into bench_ours (message_id, body, due_at) select 'm' || n, $1, now() from generate_series(1, $2::integer) as n", [body, count]);
        await pool.query("insert into bench_by_hand (body) select $1 from generate_series(1, $2::integer) as n", [body, count]);
        await pool.query("vacuum analyze bench_ours, bench_by_hand");
      },
      receiveByHand: (count) =>
        claiming(count, async (rows, claim) => {
          const settled = rows.map(async ({ id, body: read }) => {
            await take(format.read(read).parts[0]);
            return (await pool.query("delete from bench_by_hand where id = $1 and claim = $2", [id, claim])).rowCount ?? 0;
          });
          return (await Promise.all(settled)).reduce((sum, count) => sum + count, 0);
        }),
      receiveInBatches: (count) =>
        claiming(count, async (rows, claim) => {
          await Promise.all(rows.map(({ body: read }) => take(format.read(read).parts[0])));
          const { rowCount } = await pool.query("delete from bench_by_hand where id = any ($1::bigint[]) and claim = $2", [rows.map(({ id }) => id), claim]);
          return rowCount ?? 0;
        }),
      async receive(count) {
        const worker = consume(queue, pipe(), (part) => take(isText(part) ? part.text : undefined), {
          concurrency: inFlight,
          maxInFlight: inFlight,
          onEvent: ({ kind }) => {
            if (kind === "acked" && worker.counters.acked >= count) void worker.stop();
          },
        });
        await worker.finished;
        return worker.counters.acked;
      },
      async sendByHand(count) {
        let [begun, confirmed] = [0, 0];
        const sender = async (): Promise<void> => {
          while (begun < count) {
            begun += 1;
            const message = JSON.stringify({ millrace: 1, id: crypto.randomUUID(), sentAt: new Date().toISOString(), correlationId: crypto.randomUUID(), parts: [{ kind: "text", text: word }] });
            const { rowCount } = await pool.query("insert into bench_by_hand (body) values ($1)", [Buffer.from(message)]);
            confirmed += rowCount ?? 0;
          }
        };
        await Promise.all(Array.from({ length: inFlight }, sender));
        return confirmed;
      },
      async send(count) {
        let confirmed = 0;
        async function* words(): AsyncGenerator<string> {
          for (let n = 0; n < count; n += 1) yield word;
        }
        await run(publish(queue, { concurrency: inFlight }), words()).forEach((part) => {
          if (part.metadata.queue !== undefined) confirmed += 1;
        });
        return confirmed;
      },
      async [Symbol.asyncDispose]() {
        await queue.close();
        await pool.query("drop table if exists bench_ours, bench_by_hand");
        await pool.end();
      },
    };
  },
};
