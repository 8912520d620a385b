import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { afterAll, describe, it } from "vitest";
import { pgvector, type PgvectorOptions } from "../../src/adapters/pgvector/index.ts";
import { vectorStoreContract, type VectorStoreSubject } from "../../src/testing/contracts/vector-store.ts";
import { ownDatabase, service, titled } from "../services.ts";

let tables = 0;
type Open = VectorStoreSubject["open"];
const opening = (options: Partial<PgvectorOptions>): Open => (shape) => pgvector({ ...shape, ...options, table: `t${(tables += 1)}` });

const pglite = await PGlite.create({ extensions: { vector } });
afterAll(() => pglite.close());
vectorStoreContract({ describe, it }, { name: "pgvector on PGlite", open: opening({ client: pglite }) });

const lacks = { hybrid: "the table has no full text (language: false)" };
vectorStoreContract(
  { describe, it },
  { name: "pgvector on PGlite, exact, without full text", open: opening({ client: pglite, index: "none", language: false }), lacks, recall: 1 },
);

const server = await service("pgvector");
describe.skipIf(server.skip !== undefined)(titled("on Postgres", server), async () => {
  if (server.url === undefined) return;
  const database = await ownDatabase(server.url);
  // the tables here are small, and the planner would not look at an index of them by itself
  const indexed = await ownDatabase(server.url);
  await indexed.query(`alter database ${new URL(indexed.url).pathname.slice(1)} set enable_seqscan = off`);
  afterAll(async () => {
    await database[Symbol.asyncDispose]();
    await indexed[Symbol.asyncDispose]();
  });
  vectorStoreContract({ describe, it }, { name: "pgvector", open: opening({ connectionString: database.url, connections: 4 }) });
  vectorStoreContract({ describe, it }, { name: "pgvector, always by its indexes", open: opening({ connectionString: indexed.url, connections: 4 }) });
  vectorStoreContract({ describe, it }, { name: "pgvector, half precision", open: opening({ connectionString: database.url, precision: "half" }) });
});
