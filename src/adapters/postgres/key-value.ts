/**
 * Values and marks in one table of Postgres, for those who have no other store.
 *
 * Kind: key-value. Client: `pg` 8 (optional peer, loaded at first use), or a ready pool or client, or PGlite in the process.
 * All times are the server's. Transactions are expected to be "read committed", the server's own default.
 *
 * @module
 */
import { isMillraceError, MillraceError, received } from "../../core/errors.ts";
import { checkValue, checkValueKey, type KeyValueContext, type KeyValueSetOptions, type MarkStore } from "../../kinds/key-value.ts";
import { type Advanced, checkSteps } from "../../kinds/marks.ts";
import { postgresConnections, type PostgresOptions, type PostgresRow, type PostgresSession, type PostgresWork } from "../../wire/postgres.ts";
import { sqlStateOf } from "../../wire/postgres-errors.ts";
import { keyValueStatements, shape } from "./key-value-statements.ts";

const service = "postgres";

/** Bytes come back as hexadecimal text behind two characters, and a string of V8 holds 2 ** 29 - 24 characters. */
const maxValueBytes = 2 ** 28 - 16;
/** SQLSTATE of a table that is not there, whether or not its schema is. */
const noSuchTable = "42P01";
/** Writes of this store between two sweeps: each takes away more rows than were added meanwhile. */
const writesPerSweep = 100;

/** Of values in one table. */
export interface PostgresKeyValueOptions extends PostgresOptions {
  /** Letters, digits and `_`; no schema in it. */
  readonly table: string;
  /** @default the first schema of the connection's search path */
  readonly schema?: string;
  /** Written without a log: faster, but emptied when the server crashes, and not on replicas. For what can be had again. @default false */
  readonly unlogged?: boolean;
}

/** A key-value store in Postgres. */
export interface PostgresKeyValue extends MarkStore {
  /** Makes the table and its index, and the schema if there is none; compares the table that is there. Nothing else does. */
  setup(context?: KeyValueContext): Promise<void>;
}

/**
 * Keeps values and marks in a table, shared by all processes that use it. What is past is not seen from that moment on; every
 * hundredth write of a store takes up to a thousand such rows away, the oldest first.
 *
 * Throws: as every key-value store; `not_found` where there is no table; from `setup()` `conflict` for a table of another shape;
 *         what `wire/sqlstate.ts` has. A connection that is lost in a call leaves open whether the call was carried out.
 * Closes: the pool, if it was opened here; calls in progress reject with `closed`.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 *
 * await using client = await PGlite.create();
 * await using store = postgresKeyValue({ client, table: "answers" });
 * await store.setup();
 * await store.set("greeting", new TextEncoder().encode("hello"), { ttlMs: 60_000 });
 * console.log(await store.set("greeting", new Uint8Array(1), { ifAbsent: true })); // false
 * console.log(new TextDecoder().decode(await store.get("greeting"))); // hello
 */
export function postgresKeyValue(options: PostgresKeyValueOptions): PostgresKeyValue {
  const { table, schema, unlogged = false } = options;
  const statements = keyValueStatements(service, { schema, table, unlogged });
  const server = postgresConnections(service, options);
  let writes = 0;

  const call = async <T>(what: string, work: PostgresWork<T>, context: KeyValueContext | undefined): Promise<T> => {
    try {
      return await server.run(what, work, context);
    } catch (error) {
      if (!isMillraceError(error) || sqlStateOf(error.cause) !== noSuchTable) throw error;
      throw new MillraceError("not_found", `${service}: there is no table ${statements.name}; setup() makes it`, { service, scope: "dependency", cause: error.cause });
    }
  };
  /** The sweep is not the caller's: its failure is nobody's, and the next one comes. */
  const sweep = async (session: PostgresSession): Promise<void> => {
    writes += 1;
    if (writes % writesPerSweep === 1) await session.query(statements.sweep).catch(() => {});
  };
  const isThere = async (session: PostgresSession): Promise<boolean> => {
    const [row] = await session.query(statements.look, [statements.name]);
    if (row === undefined) return false;
    const [is, wanted] = [`${row["unlogged"] === true ? "unlogged " : ""}(${String(row["columns"])})`, `${unlogged ? "unlogged " : ""}(${shape})`];
    if (is === wanted) return true;
    throw new MillraceError("conflict", `${service}: ${statements.name} is ${is}, the store needs ${wanted}`, { service, scope: "process" });
  };
  const close = (): Promise<void> => server.close();

  return {
    service,
    lacks: {},
    async setup(context) {
      await server.transaction("setup", async (session) => {
        // two that look at the same moment would both make it
        await session.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", ["millrace: set up key-value"]);
        if (!(await isThere(session))) for (const text of statements.setup) await session.query(text);
      }, context);
    },
    async get(key, context) {
      checkValueKey(service, key);
      const [row] = await call("get", (session) => session.query(statements.get, [key]), context);
      return row === undefined ? undefined : toBytes(row);
    },
    async set(key, value, set: KeyValueSetOptions = {}) {
      checkValueKey(service, key);
      checkValue(service, value, set);
      if (value.byteLength > maxValueBytes) throw new MillraceError("too_large", `${service}: a value of ${value.byteLength} bytes, the store holds ${maxValueBytes}`, { service });
      const values = [key, new Uint8Array(value), set.ttlMs ?? null]; // a copy: the caller's bytes may change before there is a connection
      return call("set", async (session) => {
        const rows = await session.query(set.ifAbsent === true ? statements.setIfAbsent : statements.set, values);
        await sweep(session);
        return rows.length > 0;
      }, set);
    },
    async delete(key, context) {
      checkValueKey(service, key);
      await call("delete", (session) => session.query(statements.delete, [key]), context);
    },
    async advance(key, steps, context) {
      checkValueKey(service, key);
      checkSteps(service, steps);
      const moves = JSON.stringify(steps); // Infinity becomes null, which is no limit either
      return call("advance", async (session) => {
        for (;;) {
          const [row] = await session.query(statements.advance, [key, moves]);
          if (row?.["answer"] === null) continue; // another caller was first with this key: now there is a row to lock
          await sweep(session);
          return toAdvanced(row?.["answer"]);
        }
      }, context);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

// --- shapes: only the fields we read ---

/** Bytes of the driver's own kind, which may be a window on a buffer that holds more, as plain ones. */
function toBytes({ value }: PostgresRow): Uint8Array {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  throw new MillraceError("bad_response", `${service}: column value holds ${received(value)}`, { service });
}

function toAdvanced(answer: unknown): Advanced {
  const read: unknown = typeof answer === "string" ? JSON.parse(answer) : undefined;
  if (typeof read === "object" && read !== null && "taken" in read && "waitMs" in read && "aheadMs" in read) {
    const { taken, waitMs, aheadMs } = read;
    if (typeof taken === "boolean" && typeof waitMs === "number" && isNumbers(aheadMs)) return { taken, waitMs, aheadMs };
  }
  throw new MillraceError("bad_response", `${service}: advance answered ${received(answer)}`, { service });
}

function isNumbers(value: unknown): value is Readonly<Record<string, number>> {
  return typeof value === "object" && value !== null && Object.values(value).every((it) => typeof it === "number");
}
