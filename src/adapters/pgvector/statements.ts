/**
 * The statements of pgvector: names quoted once, values always bound.
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";
import { rankConstant } from "../../kinds/rank-fusion.ts";
import type { VectorFilter } from "../../kinds/vector-filter.ts";
import type { VectorMetric, VectorQuery } from "../../kinds/vector-store.ts";
import { quotedName } from "../../kinds/sql-text.ts";
import type { PostgresRow } from "../../wire/postgres.ts";

/** Operator and operator class of each metric. `<#>` is the negative inner product, because indexes only scan upwards. */
const metrics: Readonly<Record<VectorMetric, { readonly operator: string; readonly classSuffix: string }>> = {
  cosine: { operator: "<=>", classSuffix: "cosine_ops" },
  dot: { operator: "<#>", classSuffix: "ip_ops" },
  l2: { operator: "<->", classSuffix: "l2_ops" },
};

/** What statements are made for. */
export interface TableShape {
  readonly schema: string | undefined;
  readonly table: string;
  readonly dimensions: number;
  readonly metric: VectorMetric;
  readonly type: "vector" | "halfvec";
  /** Text search configuration; `undefined` for a table without full text. */
  readonly language: string | undefined;
  /** `undefined` for a table that is looked at row by row. */
  readonly index: VectorIndex | undefined;
}

/** How the vectors are indexed. */
export type VectorIndex =
  | { readonly method: "hnsw"; readonly m: number; readonly efConstruction: number }
  | { readonly method: "ivfflat"; readonly lists: number };

/** A statement with its values. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** All statements of one table. */
export interface Statements {
  /** For messages, and the name that locks are taken under. */
  readonly name: string;
  /** Make the table, if it is not there. */
  readonly makeTable: readonly string[];
  /** Writes down the metric: vectors alone do not tell. */
  readonly noteMetric: string;
  /** Make the indexes of a table that holds what it should. */
  readonly makeIndexes: readonly string[];
  /** What is there: extension version, column type, metric; no row where there is no table. */
  readonly look: Statement;
  /** Ids, vectors, texts and metadata as arrays of text. */
  readonly upsert: string;
  query(vector: string, query: VectorQuery): Statement;
  /** `width` records of each ranking are fused. */
  hybrid(vector: string, words: string, width: number, query: VectorQuery): Statement;
  get(ids: readonly string[]): Statement;
  deleteIds(ids: readonly string[]): Statement;
  deleteWhere(filter: VectorFilter, except?: readonly string[]): Statement;
  count(filter: VectorFilter | undefined): Statement;
}

/** Makes the statements; throws `invalid_input` for names that are none. */
export function statementsFor(service: string, shape: TableShape): Statements {
  const { schema, table, dimensions, type, index, language } = shape;
  const metric = Object.hasOwn(metrics, shape.metric) ? metrics[shape.metric] : undefined;
  if (metric === undefined) throw invalidOption(service, "metric", "cosine, dot or l2", shape.metric);
  const name = (schema === undefined ? "" : `${quotedName(service, "schema", schema)}.`) + quotedName(service, "table", table);
  const configuration = language === undefined ? undefined : `'${quotedName(service, "language", language)}'::regconfig`;
  const named = (suffix: string): string => `"${indexName(table, suffix)}"`;
  const operatorClass = `${type}_${metric.classSuffix}`;
  const distance = `embedding ${metric.operator} $1::${type}`;
  const columns = "id, text, metadata::text as metadata";
  const given = ({ vectors = false }: VectorQuery): string => (vectors ? `${columns}, embedding::text as vector` : columns);

  const makeTable = [
    "create extension if not exists vector",
    ...(schema === undefined ? [] : [`create schema if not exists ${quotedName(service, "schema", schema)}`]),
    `create table if not exists ${name} (
      id text collate "C" primary key,
      embedding ${type}(${dimensions}) not null,
      text text,
      metadata jsonb not null default '{}'${
        configuration === undefined ? "" : `,\n      words tsvector generated always as (to_tsvector(${configuration}, coalesce(text, ''))) stored`
      }
    )`,
  ];
  const makeIndexes = [
    `create index if not exists ${named("metadata")} on ${name} using gin (metadata jsonb_path_ops)`,
    ...(configuration === undefined ? [] : [`create index if not exists ${named("words")} on ${name} using gin (words)`]),
    ...(index?.method === "hnsw"
      ? [`create index if not exists ${named("embedding")} on ${name} using hnsw (embedding ${operatorClass}) with (m = ${index.m}, ef_construction = ${index.efConstruction})`]
      : []),
    ...(index?.method === "ivfflat" ? [ivfflatWhenFilled(name, named("embedding"), operatorClass, index.lists)] : []),
  ];
  return {
    name,
    makeTable,
    noteMetric: `comment on column ${name}.embedding is '${metricNote}${shape.metric}'`,
    makeIndexes,
    look: {
      text: `select format_type(a.atttypid, a.atttypmod) as type,
        (select extversion from pg_extension where extname = 'vector') as version,
        exists (select from pg_attribute w where w.attrelid = a.attrelid and w.attname = 'words' and not w.attisdropped) as words,
        col_description(a.attrelid, a.attnum) as note,
        array(select c.opcname::text from pg_index i join pg_opclass c on c.oid = i.indclass[0]
          where i.indrelid = a.attrelid and i.indkey[0] = a.attnum)::text as classes
      from pg_attribute a where a.attrelid = to_regclass($1) and a.attname = 'embedding' and not a.attisdropped`,
      values: [name],
    },
    upsert: `insert into ${name} (id, embedding, text, metadata)
      select id, embedding::${type}, text, metadata::jsonb
      from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as record (id, embedding, text, metadata)
      on conflict (id) do update set embedding = excluded.embedding, text = excluded.text, metadata = excluded.metadata`,
    query(vector, query) {
      const { limit, filter } = query;
      const values: unknown[] = [vector, limit];
      return {
        // the inner order is the index's own; the outer one puts ties in order without keeping the index from being used. Without an
        // index the inner one does so too, so that of ties at the limit the same are in
        text: `select * from (
          select ${given(query)}, ${distance} as distance from ${name} where ${condition(filter, values)} order by ${distance}${index === undefined ? ", id" : ""} limit $2
        ) nearest order by distance, id`,
        values,
      };
    },
    hybrid(vector, words, width, query) {
      const { limit, filter } = query;
      const values: unknown[] = [vector, limit, width, words];
      const where = condition(filter, values);
      return {
        text: `with asked as (select ${anyOfWords(`websearch_to_tsquery(${configuration}, $4)`)} as query),
        near as (
          select id, row_number() over (order by distance, id) as rank
          from (select id, ${distance} as distance from ${name} where ${where} order by ${distance}${index === undefined ? ", id" : ""} limit $3) nearest
        ),
        worded as (
          select id, row_number() over (order by score desc, id) as rank
          from (select id, ts_rank(words, query, 1) as score from ${name}, asked where words @@ query and ${where} order by score desc, id limit $3) best
        ),
        fused as (
          select id, sum(1.0::float8 / (${rankConstant} + rank)) as score from (select * from near union all select * from worded) ranks
          group by id order by score desc, id limit $2
        )
        select ${given(query)}, ${distance} as distance, score from fused join ${name} using (id) order by score desc, id`,
        values,
      };
    },
    get: (ids) => ({ text: `select ${columns} from ${name} where id = any($1::text[])`, values: [ids] }),
    deleteIds: (ids) => ({ text: `delete from ${name} where id = any($1::text[])`, values: [ids] }),
    deleteWhere(filter, except) {
      const values: unknown[] = except === undefined ? [] : [except];
      const kept = except === undefined ? "" : " and not (id = any($1::text[]))";
      return { text: `delete from ${name} where ${condition(filter, values)}${kept}`, values };
    },
    count(filter) {
      const values: unknown[] = [];
      return { text: `select count(*)::text as count from ${name} where ${condition(filter, values)}`, values };
    },
  };
}

/** What the comment of a column of vectors says before its metric. */
const metricNote = "millrace metric: ";

/** The metric of a table that is there: what it says itself, or else what its indexes are for; nothing where neither tells. */
export function metricOf(row: PostgresRow): VectorMetric | undefined {
  const { note, classes } = row;
  const known = Object.keys(metrics) as VectorMetric[]; // the keys of a record of metrics
  const said = known.find((metric) => note === metricNote + metric);
  return said ?? known.find((metric) => typeof classes === "string" && classes.includes(`_${metrics[metric].classSuffix}`));
}

/** Postgres cuts names at 63 bytes: two tables with long names that begin alike would share one. */
export function indexName(table: string, suffix: string): string {
  const longest = 63 - suffix.length - 1;
  return table.length <= 50 ? `${table}_${suffix}` : `${table.slice(0, longest - 9)}_${shortHash(table)}_${suffix}`;
}

/** FNV-1a, 32 bits, http://www.isthe.com/chongo/tech/comp/fnv/. Names of tables are ASCII. */
function shortHash(text: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/** The lists are the centres of what is there when they are made, so there must be as many rows at least. */
function ivfflatWhenFilled(name: string, index: string, operatorClass: string, lists: number): string {
  return `do $do$ begin
    if (select count(*) >= ${lists} from (select from ${name} limit ${lists}) as found) then
      create index if not exists ${index} on ${name} using ivfflat (embedding ${operatorClass}) with (lists = ${lists});
    end if;
  end $do$`;
}

/**
 * Any of the words instead of all: a question shares only some of its words with its answer. Phrases stay phrases and excluded words
 * stay excluded: only the `&` between two plain words becomes `|`, and those inside a word are not between quotes.
 */
function anyOfWords(query: string): string {
  return `replace(${query}::text, ''' & ''', ''' | ''')::tsquery`;
}

/** A filter as a condition; its values are added to `values` and bound by number. */
export function condition(filter: VectorFilter | undefined, values: unknown[]): string {
  if (filter === undefined) return "true";
  const bind = (value: string): string => `$${values.push(value)}`;
  const holds = (field: string, value: unknown): string => `metadata @> ${bind(JSON.stringify({ [field]: value }))}::jsonb`;
  const compared = ([field, value]: readonly [string, number], operator: string): string => {
    const name = `${bind(field)}::text`;
    // a case, not an and: the server may look at both sides of an and, and a text that is no number would fail the statement
    return `case when jsonb_typeof(metadata -> ${name}) = 'number' then (metadata ->> ${name})::numeric ${operator} ${bind(String(value))}::numeric else false end`;
  };
  const compile = (node: VectorFilter): string => {
    if ("and" in node) return node.and.length === 0 ? "true" : `(${node.and.map(compile).join(" and ")})`;
    if ("or" in node) return node.or.length === 0 ? "false" : `(${node.or.map(compile).join(" or ")})`;
    if ("not" in node) return `(not ${compile(node.not)})`;
    if ("eq" in node) return holds(...node.eq);
    if ("ne" in node) return `(not ${holds(...node.ne)})`;
    if ("in" in node) return node.in[1].length === 0 ? "false" : `(${node.in[1].map((value) => holds(node.in[0], value)).join(" or ")})`;
    if ("gt" in node) return compared(node.gt, ">");
    if ("gte" in node) return compared(node.gte, ">=");
    if ("lt" in node) return compared(node.lt, "<");
    return compared(node.lte, "<=");
  };
  return compile(filter);
}
