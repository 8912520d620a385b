/**
 * The statements of the key-value store in Postgres: names quoted once, values always bound.
 *
 * Source: https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED (what a locked row holds),
 * https://www.postgresql.org/docs/current/storage-hot.html (what an update costs)
 *
 * @module
 */
import { quotedName } from "../../kinds/sql-text.ts";

/** Rows that are past and that one sweep takes away at most. */
const rowsPerSweep = 1_000;
/** Of a millisecond, as for marks in memory: what sums of fractions may be off. */
const rounding = 0.001;
/** Marks are dated on whole minutes, so that most steps change no index. */
const markGrainMs = 60_000;
/** Milliseconds of a moment that the type of dates still holds, some 200,000 years on. */
const lastDatedMs = 6.5e15;

/** What the table must look like: what `columns` says, and its persistence. */
export const shape = "key:text, kind:text, value:bytea, marks:jsonb, expires_at:timestamp with time zone";

/** What the statements are made for. */
export interface KeyValueTable {
  readonly schema: string | undefined;
  readonly table: string;
  readonly unlogged: boolean;
}

/** All statements of one table. */
export interface KeyValueStatements {
  /** For messages, and to look the table up by. */
  readonly name: string;
  /** Name: `columns` and `unlogged`; no row where there is no table. */
  readonly look: string;
  readonly setup: readonly string[];
  /** Key. */
  readonly get: string;
  /** Key, bytes, milliseconds to live or null. */
  readonly set: string;
  /** The same, and no row where there is a value already. */
  readonly setIfAbsent: string;
  /** Key. */
  readonly delete: string;
  /** Key, steps as JSON (null is no limit): `answer` as JSON, null when another caller made the key's first mark in between. */
  readonly advance: string;
  readonly sweep: string;
}

/** Makes the statements; throws `invalid_input` for names that are none. */
export function keyValueStatements(service: string, { schema, table, unlogged }: KeyValueTable): KeyValueStatements {
  const quotedSchema = schema === undefined ? undefined : quotedName(service, "schema", schema);
  const name = `${quotedSchema === undefined ? "" : `${quotedSchema}.`}${quotedName(service, "table", table)}`;
  const insert = `insert into ${name} as held (key, kind, value, expires_at)
    values ($1, 'value', $2::bytea, statement_timestamp() + $3::float8 * interval '1 millisecond')
    on conflict (key, kind) do update set value = excluded.value, expires_at = excluded.expires_at`;
  return {
    name,
    look: `select relpersistence = 'u' as unlogged, (
        select string_agg(attname || ':' || format_type(atttypid, atttypmod), ', ' order by attnum)
        from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped
      ) as columns
      from pg_class where oid = to_regclass($1)`,
    setup: [
      ...(quotedSchema === undefined ? [] : [`create schema if not exists ${quotedSchema}`]),
      `create ${unlogged ? "unlogged " : ""}table ${name} (
        key text collate "C",
        kind text collate "C" check (kind in ('value', 'marks')),
        value bytea,
        marks jsonb,
        expires_at timestamptz,
        primary key (key, kind)
      )`,
      // nameless, so that the server finds a name that is free
      `create index on ${name} (expires_at) where expires_at is not null`,
    ],
    get: `select value from ${name} where key = $1 and kind = 'value' and (expires_at is null or expires_at > statement_timestamp())`,
    set: `${insert} returning true as is_set`,
    setIfAbsent: `${insert} where held.expires_at <= clock_timestamp() returning true as is_set`,
    delete: `delete from ${name} where key = $1 and kind = 'value'`,
    advance: advance(name),
    // `skip locked`: what somebody is about to renew is no rubbish, and nobody waits for a sweep that waits for him
    sweep: `delete from ${name} where ctid = any (array(
      select ctid from ${name} where expires_at <= statement_timestamp() order by expires_at limit ${rowsPerSweep} for update skip locked
    ))`,
  };
}

/**
 * `advanceMarks` of `kinds/marks.ts`, in one statement. The row of the key is locked first, which gives its latest version, and the
 * clock is read when the lock is had: so callers take their turns, and none goes by what another has changed. Steps that are refused
 * write nothing. A key without a row cannot be locked: of several that make it, one does, and the others ask again.
 */
function advance(name: string): string {
  return `with held as materialized (
    select marks from ${name} where key = $1 and kind = 'marks' for update
  ),
  now as materialized (
    select extract(epoch from clock_timestamp())::numeric * 1000 as ms, held.marks from (values (1)) one left join held on true
  ),
  stood as (
    select mark.name, mark.at::numeric as at_ms from now, jsonb_each_text(now.marks) as mark (name, at)
  ),
  moved as (
    select step.name, (step.move ->> 'withinMs')::numeric as within_ms,
      greatest(coalesce(stood.at_ms, now.ms), now.ms + coalesce((step.move ->> 'atLeastMs')::numeric, 0)) + coalesce((step.move ->> 'byMs')::numeric, 0) as at_ms
    from now, jsonb_each($2::jsonb) as step (name, move) left join stood using (name)
  ),
  verdict as (
    select coalesce(max(at_ms - ms - within_ms), 0) as wait_ms, coalesce(max(at_ms - ms - within_ms), 0) <= ${rounding} as taken from now left join moved on true
  ),
  mark as (
    select name, case when taken and moved.at_ms is not null then moved.at_ms else stood.at_ms end as at_ms
    from stood full join moved using (name) cross join verdict
  ),
  result as materialized (
    select taken, wait_ms, now.marks as old_marks, kept.*,
      case when last_ms < ${lastDatedMs} then to_timestamp((ceil(last_ms / ${markGrainMs}) * ${markGrainMs / 1_000})::float8) end as expires_at
    from now, verdict, lateral (
      select coalesce(jsonb_object_agg(name, at_ms), '{}') as marks, coalesce(jsonb_object_agg(name, at_ms - ms), '{}') as ahead_ms, coalesce(max(at_ms), ms) as last_ms
      from mark where at_ms > ms
    ) as kept
  ),
  updated as (
    update ${name} as entry set marks = result.marks, expires_at = result.expires_at
    from result where key = $1 and kind = 'marks' and taken and result.marks is distinct from old_marks
  ),
  inserted as (
    insert into ${name} (key, kind, marks, expires_at)
    select $1, 'marks', marks, expires_at from result where old_marks is null and taken and marks <> '{}'
    on conflict do nothing returning true
  )
  select case when old_marks is not null or not taken or marks = '{}' or exists (select from inserted)
    then json_build_object('taken', taken, 'waitMs', case when taken then 0 else wait_ms end, 'aheadMs', ahead_ms)::text end as answer
  from result`;
}
