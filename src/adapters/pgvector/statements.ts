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
  readonly hnsw: { readonly m: number; readonly efConstruction: number } | undefined;
}

/** A statement with its values. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** All statements of one table. */
export interface Statements {
  /** For messages, and the name that locks are taken under. */
  readonly name: string;
  readonly setup: readonly string[];
  /** What is there: extension version, column type; no row where there is no table. */
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
  const { schema, table, dimensions, type, hnsw, language } = shape;
  const metric = Object.hasOwn(metrics, shape.metric) ? metrics[shape.metric] : undefined;
  if (metric === undefined) throw invalidOption(service, "metric", "cosine, dot or l2", shape.metric);
  const name = (schema === undefined ? "" : `${quotedName(service, "schema", schema)}.`) + quotedName(service, "table", table);
  const configuration = language === undefined ? undefined : `'${quotedName(service, "language", language)}'::regconfig`;
  const index = (suffix: string): string => `"${table.slice(0, 50)}_${suffix}"`;
  const distance = `embedding ${metric.operator} $1::${type}`;
  const columns = "id, text, metadata::text as metadata";
  const given = ({ vectors = false }: VectorQuery): string => (vectors ? `${columns}, embedding::text as vector` : columns);

  const setup = [
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
    `create index if not exists ${index("metadata")} on ${name} using gin (metadata jsonb_path_ops)`,
    ...(configuration === undefined ? [] : [`create index if not exists ${index("words")} on ${name} using gin (words)`]),
    ...(hnsw === undefined
      ? []
      : [
          `create index if not exists ${index("embedding")} on ${name} using hnsw (embedding ${type}_${metric.classSuffix})
      with (m = ${hnsw.m}, ef_construction = ${hnsw.efConstruction})`,
        ]),
  ];
  return {
    name,
    setup,
    look: {
      text: `select format_type(a.atttypid, a.atttypmod) as type,
        (select extversion from pg_extension where extname = 'vector') as version,
        exists (select from pg_attribute w where w.attrelid = a.attrelid and w.attname = 'words' and not w.attisdropped) as words
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
        // the inner order is the index's own; the outer one puts ties in order without keeping the index from being used
        text: `select * from (
          select ${given(query)}, ${distance} as distance from ${name} where ${condition(filter, values)} order by ${distance} limit $2
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
          from (select id, ${distance} as distance from ${name} where ${where} order by ${distance} limit $3) nearest
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
