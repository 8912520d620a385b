import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, describe, it } from "vitest";
import { type PostgresQueue, postgresQueue, type PostgresQueueOptions } from "../../src/adapters/postgres/index.ts";
import { queueContract } from "../../src/testing/contracts/queue.ts";
import { ownDatabase, type OwnDatabase, service, titled } from "../services.ts";

const declares = { guarantee: "at-least-once", redelivery: "lease", durable: true, lacks: {} } as const;
let count = 0;
/** A queue of its own table, on whatever the options say. */
const made = async (options: Omit<PostgresQueueOptions, "table"> & { readonly table?: string }): Promise<PostgresQueue> => {
  const queue = postgresQueue({ table: `queue_${(count += 1)}`, leaseMs: 1_000, ...options });
  await queue.setup();
  return queue;
};

describe("postgresQueue on PGlite", () => {
  let client: PGlite;
  beforeAll(async () => {
    client = await PGlite.create();
  }, 120_000);
  afterAll(() => client.close());
  queueContract({ describe, it }, {
    name: "postgres on PGlite",
    open: () => made({ client }),
    declares,
    put: (queue, body) => void client.query(`insert into ${queue.name} (message_id, body, due_at) values ('foreign', $1, now())`, [body]),
  });
});

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("postgresQueue", server), () => {
  let database: OwnDatabase;
  beforeAll(async () => {
    if (server.url !== undefined) database = await ownDatabase(server.url);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());
  queueContract({ describe, it }, {
    name: "postgres",
    open: () => made({ connectionString: database.url, connections: 4 }),
    declares,
    put: async (queue, body) => void (await database.query(`insert into ${queue.name} (message_id, body, due_at) values ('foreign', $1, now())`, [body])),
  });
});
