import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { afterAll, describe, it } from "vitest";
import { postgres } from "../../src/adapters/postgres/index.ts";
import { sqlContract } from "../../src/testing/contracts/sql.ts";
import { ownDatabase, service, titled } from "../services.ts";

const pglite = await PGlite.create();
afterAll(() => pglite.close());
sqlContract({ describe, it }, { name: "postgres on PGlite", open: () => postgres({ client: pglite }) });

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("on Postgres", server), async () => {
  if (server.url === undefined) return;
  const database = await ownDatabase(server.url);
  const pool = new pg.Pool({ connectionString: database.url, max: 3 });
  pool.on("error", () => {}); // the database is dropped while its connections end
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  afterAll(async () => {
    await pool.end();
    await client.end();
    await database[Symbol.asyncDispose]();
  });
  sqlContract({ describe, it }, { name: "postgres", open: () => postgres({ connectionString: database.url, connections: 3 }) });
  sqlContract({ describe, it }, { name: "postgres through a pool of the caller's", open: () => postgres({ client: pool }) });
  sqlContract({ describe, it }, { name: "postgres through one client", open: () => postgres({ client }) });
});
