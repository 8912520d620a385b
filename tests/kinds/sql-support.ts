/**
 * Databases for the tests of the SQL verbs: PGlite in the process, and a real Postgres where there is one.
 *
 * @module
 */
import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, describe } from "vitest";
import { postgres } from "../../src/adapters/postgres/index.ts";
import type { SqlDatabase, SqlParameter, SqlRow } from "../../src/kinds/sql.ts";
import { ownDatabase, type OwnDatabase, service, titled } from "../services.ts";

/** A database, and what is looked at from the side. */
export interface TestDatabase {
  readonly sql: SqlDatabase;
  /** A name that no other test has. */
  table(): string;
  rows(text: string, values?: readonly SqlParameter[]): Promise<readonly SqlRow[]>;
}

let tables = 0;

function viewOf(sql: () => SqlDatabase): TestDatabase {
  return {
    get sql() {
      return sql();
    },
    table: () => `t_${(tables += 1)}`,
    rows: async (text, values = []) => (await sql().execute({ text, values })).rows,
  };
}

/** Defines the tests twice. */
export async function onDatabases(name: string, define: (database: TestDatabase) => void): Promise<void> {
  describe(`${name} on PGlite`, () => {
    let opened: { readonly client: PGlite; readonly sql: SqlDatabase } | undefined;
    beforeAll(async () => {
      const client = await PGlite.create();
      opened = { client, sql: postgres({ client, connectMs: 500 }) };
    }, 60_000);
    afterAll(async () => {
      await opened?.sql.close();
      await opened?.client.close();
    });
    define(viewOf(() => present(opened).sql));
  });
  const server = await service("postgres");
  describe.skipIf(server.skip !== undefined)(titled(`${name} on Postgres`, server), () => {
    let opened: { readonly database: OwnDatabase; readonly sql: SqlDatabase } | undefined;
    beforeAll(async () => {
      if (server.url === undefined) return;
      const database = await ownDatabase(server.url);
      opened = { database, sql: postgres({ connectionString: database.url, connections: 4 }) };
    });
    afterAll(async () => {
      await opened?.sql.close();
      await opened?.database[Symbol.asyncDispose]();
    });
    define(viewOf(() => present(opened).sql));
  });
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the database is not open");
  return value;
}
