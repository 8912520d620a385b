/**
 * Vectors in Postgres, by the extension pgvector (0.5 and later; 0.8 for filters over an index).
 *
 * Kind: vector store. Client: `pg` 8 (optional peer, loaded at first use), or a ready pool or client, or PGlite in the process.
 * Source: https://github.com/pgvector/pgvector#readme, https://www.postgresql.org/docs/current/textsearch-controls.html
 *
 * @module
 */
import { invalidOption, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import { candidates, compareIds } from "../../kinds/rank-fusion.ts";
import { checkIds, checkQuery, checkRecords, checkSelection, type VectorShape } from "../../kinds/vector-checks.ts";
import { checkFilter, type VectorFilter } from "../../kinds/vector-filter.ts";
import type { VectorContext, VectorMetric, VectorRecord, VectorStore } from "../../kinds/vector-store.ts";
import { postgresConnections, type PostgresOptions, type PostgresSession } from "../../wire/postgres.ts";
import { refuseUnstorable } from "../../kinds/sql-text.ts";
import { toArrays, toEntry, toMatch, toVectorText } from "./rows.ts";
import { metricOf, type Statement, statementsFor } from "./statements.ts";

const service = "pgvector";

/** Dimensions that the type holds, and that an HNSW index over it takes (pgvector, reference of types and of HNSW). */
const limits = { vector: { stored: 16_000, indexed: 2_000 }, halfvec: { stored: 16_000, indexed: 4_000 } };
/** Records of one statement: some megabytes of text with usual dimensions. */
const recordsPerStatement = 500;
/** Candidates and lists that an index may be told to look at (pgvector, reference of its settings). */
const most = { efSearch: 1_000, lists: 32_768 };

/** Of vectors in one table. */
export interface PgvectorOptions extends PostgresOptions {
  /** Letters, digits and `_`; no schema in it. */
  readonly table: string;
  /** @default the first schema of the connection's search path */
  readonly schema?: string;
  /** Numbers in each vector. */
  readonly dimensions: number;
  /** @default "cosine" */
  readonly metric?: VectorMetric;
  /**
   * `ivfflat` is smaller and built faster, finds less at the same speed, and is made by the first `setup()` that finds as many rows as
   * it has lists; `none` looks at every row: exact, and slow from some ten thousand rows on. @default "hnsw"
   */
  readonly index?: "hnsw" | "ivfflat" | "none";
  /** How the index is built, and how many candidates a query looks at, or `limit` of them if that is more. @default m 16, efConstruction 64, efSearch 100 */
  readonly hnsw?: { readonly m?: number; readonly efConstruction?: number; readonly efSearch?: number };
  /** Into how many lists the vectors are divided, and how many of them a query looks at. @default lists 100, probes the square root of lists */
  readonly ivfflat?: { readonly lists?: number; readonly probes?: number };
  /** `half` stores 16 bits a number, and is needed to index more than 2000 dimensions. @default "single" */
  readonly precision?: "single" | "half";
  /** Text search configuration for hybrid queries, such as `english`; `false` for a table without full text. @default "simple" */
  readonly language?: string | false;
}

/** What was seen of the table. */
interface Known {
  /** Does its index go on scanning until a filter has let enough through? */
  readonly iterativeScan: boolean;
  /** Does it say its metric? */
  readonly isNoted: boolean;
}

/**
 * Stores vectors in a table of Postgres and finds the nearest, by an HNSW or IVFFlat index or by looking at every row.
 *
 * `setup()` makes extension, table and indexes; nothing else does. A hybrid query ranks by any of the words of its text (quotes make
 * a phrase, `-` excludes) and fuses that with the ranks of the vectors. Behind an index answers are approximate, and a filter that
 * lets through very little among very many rows may find less than there is: the index gives up after `hnsw.max_scan_tuples`. The
 * options of an index that is there already are not changed: drop it, and `setup()` makes it anew.
 *
 * Throws: as every vector store; `conflict` when the table holds other vectors than the options say, or by another metric; what `wire/sqlstate.ts` has.
 * Closes: the pool, if it was opened here; calls in progress reject with `closed`.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 * import { vector } from "@electric-sql/pglite-pgvector";
 *
 * await using client = await PGlite.create({ extensions: { vector } });
 * await using store = pgvector({ client, table: "notes", dimensions: 2 });
 * await store.setup();
 * await store.upsert([{ id: "a", vector: Float32Array.of(1, 0), text: "east" }]);
 * const [nearest] = await store.query({ vector: Float32Array.of(1, 0.1), limit: 1 });
 * console.log(nearest?.text); // east
 */
export function pgvector(options: PgvectorOptions): VectorStore {
  const { metric = "cosine", index = "hnsw", precision = "single", language = "simple", hnsw = {}, ivfflat = {} } = options;
  if (index !== "hnsw" && index !== "ivfflat" && index !== "none") throw invalidOption(service, "index", "hnsw, ivfflat or none", index);
  if (precision !== "single" && precision !== "half") throw invalidOption(service, "precision", "single or half", precision);
  const type = precision === "half" ? "halfvec" : "vector";
  const dimensions = wholeNumber(service, "dimensions", options.dimensions, 1, limits[type].stored);
  if (index !== "none" && dimensions > limits[type].indexed) {
    throw new MillraceError("invalid_input", `${service}: an index over ${precision} precision takes ${limits[type].indexed} dimensions, got ${dimensions}; say precision "half" (4000) or index "none"`);
  }
  const m = wholeNumber(service, "hnsw.m", hnsw.m ?? 16, 2, 100);
  const efConstruction = wholeNumber(service, "hnsw.efConstruction", hnsw.efConstruction ?? 64, 2 * m, 1_000);
  const efSearch = wholeNumber(service, "hnsw.efSearch", hnsw.efSearch ?? 100, 1, most.efSearch);
  const lists = wholeNumber(service, "ivfflat.lists", ivfflat.lists ?? 100, 1, most.lists);
  const probes = wholeNumber(service, "ivfflat.probes", ivfflat.probes ?? Math.ceil(Math.sqrt(lists)), 1, lists);
  const statements = statementsFor(service, {
    schema: options.schema,
    table: options.table,
    dimensions,
    metric,
    type,
    language: language === false ? undefined : language,
    index: index === "none" ? undefined : index === "hnsw" ? { method: "hnsw", m, efConstruction } : { method: "ivfflat", lists },
  });
  const server = postgresConnections(service, options);
  const shape: VectorShape = { service, dimensions, metric };
  const lacks: VectorStore["lacks"] = language === false ? { hybrid: `the table has no full text (language: false)` } : {};
  /** What is known of a table of the right shape. Asked once. */
  let known: Known | undefined;

  const look = async (session: PostgresSession): Promise<Known> => {
    if (known !== undefined) return known;
    const [row] = await session.query(statements.look.text, statements.look.values);
    if (row === undefined) {
      throw new MillraceError("not_found", `${service}: there is no table ${statements.name} with a column embedding; setup() makes it`, { service, scope: "dependency" });
    }
    const wanted = `${type}(${dimensions})`;
    if (row["type"] !== wanted) {
      throw new MillraceError("conflict", `${service}: ${statements.name} holds ${String(row["type"])}, the options say ${wanted}`, { service, scope: "process" });
    }
    if (language !== false && row["words"] !== true) {
      throw new MillraceError("conflict", `${service}: ${statements.name} was made without full text; say language: false, or make it anew`, { service, scope: "process" });
    }
    const by = metricOf(row);
    if (by !== undefined && by !== metric) {
      throw new MillraceError("conflict", `${service}: ${statements.name} was made for the metric ${by}, the options say ${metric}`, { service, scope: "process" });
    }
    known = { iterativeScan: isAtLeast(row["version"], 0, 8), isNoted: by !== undefined };
    return known;
  };
  const send = (session: PostgresSession, { text, values }: Statement): ReturnType<PostgresSession["query"]> => session.query(text, values);
  const upsert = async (session: PostgresSession, records: readonly VectorRecord[]): Promise<void> => {
    // in one order everywhere, so that two callers never wait for each other's rows in a circle
    const ordered = [...records].sort((a, b) => compareIds(a.id, b.id));
    for (let at = 0; at < ordered.length; at += recordsPerStatement) {
      await session.query(statements.upsert, toArrays(ordered.slice(at, at + recordsPerStatement)));
    }
  };
  const checked = (records: readonly VectorRecord[]): readonly VectorRecord[] => {
    const kept = checkRecords(shape, records);
    for (const { id, text, metadata } of kept) refuseUnstorable(`${service}: record ${received(id)}`, [id, text, metadata]);
    return kept;
  };
  const checkedFilter = (what: string, filter: VectorFilter | undefined): void => {
    if (filter === undefined) return;
    checkFilter(`${service}: ${what}`, filter);
    refuseUnstorable(`${service}: filter`, filter);
  };
  const close = (): Promise<void> => server.close();

  return {
    service,
    dimensions,
    metric,
    lacks,
    async setup(context) {
      await server.transaction("setup", async (session) => {
        // "if not exists" is no protection against another set-up at the same moment
        await session.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", ["millrace: set up vectors"]);
        for (const text of statements.makeTable) await session.query(text);
        known = undefined;
        const { isNoted } = await look(session);
        if (!isNoted) await session.query(statements.noteMetric);
        for (const text of statements.makeIndexes) await session.query(text);
      }, context);
    },
    async upsert(records, context) {
      const kept = checked(records);
      const work = async (session: PostgresSession): Promise<void> => {
        await look(session);
        await upsert(session, kept);
      };
      if (kept.length === 0) return nothing(context);
      return kept.length > recordsPerStatement ? server.transaction("upsert", work, context) : server.run("upsert", work, context);
    },
    async query(query, context) {
      const { vector, limit, filter, text } = checkQuery(shape, query, lacks);
      refuseUnstorable(`${service}: query`, [text, filter]);
      const width = text === undefined ? limit : candidates(limit);
      const statement =
        text === undefined ? statements.query(toVectorText(vector), query) : statements.hybrid(toVectorText(vector), text, width, query);
      const ask = async (session: PostgresSession): Promise<ReturnType<typeof toMatch>[]> => {
        const { iterativeScan } = await look(session);
        if (index === "hnsw") {
          await session.query(`set local hnsw.ef_search = ${Math.min(most.efSearch, Math.max(efSearch, width))}`);
          if (iterativeScan) await session.query("set local hnsw.iterative_scan = strict_order");
        } else if (index === "ivfflat") {
          await session.query(`set local ivfflat.probes = ${probes}`);
          // it knows no strict order; rows that come a little late are put in order with the others
          if (iterativeScan) await session.query("set local ivfflat.iterative_scan = relaxed_order");
        }
        return (await send(session, statement)).map((row) => toMatch(metric, row));
      };
      return index === "none" ? server.run("query", ask, context) : server.transaction("query", ask, context);
    },
    async get(ids, context) {
      checkIds(service, ids);
      refuseUnstorable(`${service}: get`, ids);
      if (ids.length === 0) {
        await nothing(context);
        return [];
      }
      return server.run("get", async (session) => {
        await look(session);
        return (await send(session, statements.get(ids))).map(toEntry);
      }, context);
    },
    async delete(selection, context) {
      checkSelection(service, selection);
      refuseUnstorable(`${service}: delete`, selection);
      const statement = "ids" in selection ? statements.deleteIds(selection.ids) : statements.deleteWhere(selection.filter);
      await server.run("delete", async (session) => {
        await look(session);
        await send(session, statement);
      }, context);
    },
    async count(filter, context) {
      checkedFilter("count", filter);
      return server.run("count", async (session) => {
        await look(session);
        const [row] = await send(session, statements.count(filter));
        return Number(row?.["count"]);
      }, context);
    },
    async replace(filter, records, context) {
      checkedFilter("replace", filter);
      const kept = checked(records);
      await server.transaction("replace", async (session) => {
        await look(session);
        // two swaps of one set at a time would each leave the other's records: neither sees what is not committed
        await session.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`${statements.name} ${JSON.stringify(filter)}`]);
        await send(session, statements.deleteWhere(filter, kept.map(({ id }) => id)));
        await upsert(session, kept);
      }, context);
    },
    close,
    [Symbol.asyncDispose]: close,
  };

  /** Nothing to do, but a closed store and an aborted call are told so all the same. */
  async function nothing(context: VectorContext | undefined): Promise<void> {
    await server.run("call", async () => {}, context);
  }
}

/** Is `0.8.0` at least 0.8? */
function isAtLeast(version: unknown, major: number, minor: number): boolean {
  const [a = 0, b = 0] = String(version).split(".").map(Number);
  return a > major || (a === major && b >= minor);
}
