/**
 * The statements of the queue in Postgres: names quoted once, values always bound, all times the server's.
 *
 * A row is a message that is not settled. It waits while it has no holder, and is out while it has one, for as long as `lease_until` says.
 * Each of the two states has an index of its own, so that neither a backlog nor what is out slows down the search for the other.
 * `epoch` counts all deliveries: by it a holder that has lost its row is told from the one that has it now.
 *
 * Source: https://www.postgresql.org/docs/current/sql-select.html#SQL-FOR-UPDATE-SHARE (`skip locked`),
 * https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED (what a locked row holds)
 *
 * @module
 */
import { quotedName } from "../../kinds/sql-text.ts";

/** What the tables must look like. */
export const queueShape =
  "id:bigint, message_id:text, key:text, body:bytea, due_at:timestamp with time zone, attempts:integer, epoch:integer, holder:uuid, lease_until:timestamp with time zone";
export const archiveShape = "id:bigint, message_id:text, key:text, body:bytea, attempts:integer, acked_at:timestamp with time zone";

/** What the statements are made for. */
export interface QueueTable {
  readonly schema: string | undefined;
  readonly table: string;
  /** Where acknowledged messages go; without it they are deleted. */
  readonly archive: string | undefined;
}

/** All statements of one table. */
export interface QueueStatements {
  /** For messages, and to look the table up by. */
  readonly name: string;
  readonly archive: string | undefined;
  /** What is notified when a message may be had that could not be had before. */
  readonly channel: string;
  readonly setup: readonly string[];
  readonly setupArchive: readonly string[];
  /** Message ids, keys, bodies, delays in milliseconds, each a list: `id`, in the order of the lists. For messages without keys. */
  readonly send: string;
  /** The same; messages of one key wait for those whose transaction is not over. */
  readonly sendKeyed: string;
  /** Holder, lease in milliseconds, rows at most. */
  readonly claim: string;
  /** The same for rows that wait, where no row has a key; nothing where one has. It takes the server a third less time. */
  readonly claimPlain: string;
  /** `ms`: milliseconds until a row is due or a lease is over; null where there is none. */
  readonly next: string;
  /** Ids and epochs, each a list: `id` of those that were out under that epoch. */
  readonly ack: string;
  /** The same for rows without a key, where nothing is kept: nobody waits for them. */
  readonly ackPlain: string | undefined;
  /** Besides, delays in milliseconds and what is taken from the attempts. */
  readonly nack: string;
  /** Besides, milliseconds from now. */
  readonly extend: string;
  /** Ids: those that there are, in whatever state. */
  readonly remaining: string;
  /**
   * Holder; ids that it has; ids that it handed out and has no more. Takes back all of its rows but those that it has. They stay counted if
   * they were handed out; nobody has tried the others, which were claimed, or given back, by a call whose answer was lost.
   */
  readonly disown: string;
}

/** Makes the statements; throws `invalid_input` for names that are none. */
export function queueStatements(service: string, { schema, table, archive }: QueueTable): QueueStatements {
  const quotedSchema = schema === undefined ? undefined : quotedName(service, "schema", schema);
  const named = (option: string, it: string): string => (quotedSchema === undefined ? "" : `${quotedSchema}.`) + quotedName(service, option, it);
  const name = named("table", table);
  const kept = archive === undefined ? undefined : named("archive", archive);
  const channel = `millrace_${table}`.slice(0, 63); // tables that share it wake each other for nothing
  const tell = `select pg_notify('${channel}', '')`; // of letters, digits and _
  const schemaSetup = quotedSchema === undefined ? [] : [`create schema if not exists ${quotedSchema}`];
  const now = "statement_timestamp()";
  const after = (milliseconds: string): string => `${now} + ${milliseconds} * interval '1 millisecond'`;
  const out = (row: string): string => `${row}.holder is not null and ${row}.lease_until > ${now}`;
  const over = (row: string): string => `${row}.holder is not null and ${row}.lease_until <= ${now}`;

  const insert = (lock: string, from: string): string => `with told as (${tell}), ${lock}
    added as (
      insert into ${name} (message_id, key, body, due_at)
      select sent.message_id, sent.key, sent.body, ${after("sent.delay_ms")}
      from unnest($1::text[], $2::text[], $3::bytea[], $4::float8[]) with ordinality as sent (message_id, key, body, delay_ms, place)${from}
      order by sent.place
      returning id
    )
    select id::text as id from added, told order by added.id`;

  /** `change` changes rows that were asked for, and returns them; `wakes` says for which of them others wait. */
  const settle = (columns: string, change: string, wakes: string | undefined): string => `with asked as (
      select * from unnest($1::bigint[], $2::integer[]${columns})
    ),
    changed as (${change}),
    told as (${wakes === undefined ? "select" : `${tell} where exists (select from changed where ${wakes})`})
    select id::text as id, (select count(*) from told) as told from changed`;
  const same = "row.id = asked.id and row.epoch = asked.epoch and row.lease_until is not null"; // no word of the holder: what is out is found by its key, not by the index of leases, however few they look
  const gone = `delete from ${name} as row using asked where ${same} returning row.*`;

  return {
    name,
    archive: kept,
    channel,
    setup: [
      ...schemaSetup,
      // rows live shortly and change once or twice: the server's own settings let dead ones pile up before it looks
      `create table ${name} (
        id bigint generated always as identity primary key,
        message_id text not null,
        key text collate "C",
        body bytea not null,
        due_at timestamptz not null,
        attempts integer not null default 0,
        epoch integer not null default 0,
        holder uuid,
        lease_until timestamptz
      ) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0.1,
              autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)`,
      // nameless, so that the server finds names that are free
      `create index on ${name} (due_at, id) where holder is null`,
      `create index on ${name} (lease_until) where holder is not null`,
      `create index on ${name} (key, id) where holder is null and key is not null`,
      `create index on ${name} (key, id) where holder is not null and key is not null`,
    ],
    setupArchive:
      kept === undefined
        ? []
        : [
            ...schemaSetup,
            `create table ${kept} (
              id bigint not null, message_id text not null, key text collate "C", body bytea not null, attempts integer not null,
              acked_at timestamptz not null default statement_timestamp()
            )`,
            `create index on ${kept} (acked_at)`,
          ],
    send: insert("", ""),
    // the ids of one key become visible in their order, or a message could be had before the one it was sent behind; sorted, so that no two senders wait in a circle
    sendKeyed: insert(
      `turns as materialized (
        select pg_advisory_xact_lock(lock) from (select distinct hashtextextended('${table}/' || key, 0) as lock from unnest($2::text[]) as key where key is not null order by 1) as locks
      ),`,
      ", (select count(*) from turns) as turn",
    ),
    claim: claim(name, out, over, after),
    claimPlain: claimPlain(name, after),
    next: `select ceil(extract(epoch from least(
        (select min(due_at) from ${name} where holder is null and due_at > ${now}),
        (select min(lease_until) from ${name} where holder is not null and lease_until > ${now})
      ) - ${now}) * 1000)::float8 as ms`,
    ack: settle(
      ") as asked (id, epoch",
      kept === undefined
        ? gone
        : `${gone}), kept as (
            insert into ${kept} (id, message_id, key, body, attempts) select id, message_id, key, body, attempts from changed`,
      "key is not null", // the next of its key may be had now
    ),
    ackPlain:
      kept === undefined ? `delete from ${name} as row using unnest($1::bigint[], $2::integer[]) as asked (id, epoch) where ${same} returning row.id::text as id` : undefined,
    nack: settle(
      ", $3::float8[], $4::integer[]) as asked (id, epoch, delay_ms, uncounted",
      `update ${name} as row set holder = null, lease_until = null, attempts = greatest(row.attempts - asked.uncounted, 0),
          due_at = case when asked.delay_ms > 0 then ${after("asked.delay_ms")} else row.due_at end
        from asked where ${same} returning row.id`,
      "true",
    ),
    extend: settle(
      ", $3::float8[]) as asked (id, epoch, ms",
      `update ${name} as row set lease_until = ${after("asked.ms")} from asked where ${same} returning row.id`,
      undefined,
    ),
    remaining: `select id::text as id from ${name} where id = any ($1::bigint[])`,
    disown: `with disowned as (
        update ${name} set holder = null, lease_until = null, attempts = greatest(attempts - case when id = any ($3::bigint[]) then 0 else 1 end, 0)
        where holder = $1::uuid and id <> all ($2::bigint[]) returning id
      ), told as (${tell} where exists (select from disowned)) select count(*) as told from told`,
  };
}

/**
 * Takes rows that wait or whose lease is over, the oldest first. No statement waits for another: rows that somebody is about to take are
 * passed over, and a locked row is looked at again as it is then.
 *
 * Of a key, rows are taken from the first on, as far as they are due and nobody has locked them: those found by their time say only which
 * keys there are. The search passes over keys that another holds, whose first row is not due, and that have a row whose lease is over
 * before this one: of those the first is taken, one at a time.
 */
function claim(name: string, out: (row: string) => string, over: (row: string) => string, after: (milliseconds: string) => string): string {
  const now = "statement_timestamp()";
  const most = "limit $3::integer";
  const anothers = `exists (select from ${name} as other where other.key = row.key and other.id <> row.id and other.holder <> $1::uuid and ${out("other")})`;
  const overBefore = `exists (select from ${name} as before where before.key = row.key and before.id < row.id and ${over("before")})`;
  const waitsBefore = `exists (select from ${name} as before where before.key = row.key and before.id < row.id and before.holder is null)`;
  const firstIsDue = `(select first.due_at <= ${now} from ${name} as first where first.key = row.key and first.holder is null order by first.id limit 1)`;
  return `with ended as materialized (
      select row.id, row.due_at from ${name} as row
      where ${over("row")} and (row.key is null or not ${anothers} and not ${overBefore} and not ${waitsBefore})
      order by row.lease_until ${most} for update of row skip locked
    ),
    waiting as materialized (
      select row.id, row.key, row.due_at from ${name} as row
      where row.holder is null and row.due_at <= ${now} and (row.key is null or not ${anothers} and not ${overBefore} and ${firstIsDue})
      order by row.due_at, row.id ${most} for update of row skip locked
    ),
    line as materialized (
      select row.id, keys.key, row.due_at, bool_and(row.due_at <= ${now}) over (partition by keys.key order by row.id) as due
      from (select distinct key from waiting where key is not null) as keys,
        lateral (select id, due_at from ${name} as row where row.key = keys.key and row.holder is null order by row.id ${most}) as row
    ),
    locked as materialized (
      select row.id from ${name} as row where row.id in (select id from line where due) and row.holder is null and row.due_at <= ${now}
      for update of row skip locked
    ),
    ours as materialized (
      select line.*, bool_and(locked.id is not null) over (partition by line.key order by line.id) as ours from line left join locked using (id) where line.due
    ),
    found as materialized (
      select id, due_at as place, 0 as behind from ended
      union all select id, due_at, 0 from waiting where key is null
      union all select id, max(due_at) over its_key, row_number() over its_key - 1 from ours where ours window its_key as (partition by key order by id)
      order by behind, place, id ${most}
    ),
    taken as (
      update ${name} as row set holder = $1::uuid, lease_until = ${after("$2::float8")}, attempts = attempts + 1, epoch = epoch + 1
      from found where row.id = found.id
      returning row.id, found.place, row.message_id, row.key, row.body, row.attempts, row.epoch
    )
    select id::text as id, message_id, key, body, attempts, epoch from taken order by place, taken.id`;
}

/** As `claim`, for a table of no keys and for rows that wait. Whether there are keys is asked once, by two indexes that are empty then. */
function claimPlain(name: string, after: (milliseconds: string) => string): string {
  const keyed = (holder: string): string => `exists (select from ${name} where key is not null and holder is ${holder})`;
  return `with taken as (
      update ${name} set holder = $1::uuid, lease_until = ${after("$2::float8")}, attempts = attempts + 1, epoch = epoch + 1
      where id = any (array(
        select id from ${name} where holder is null and due_at <= statement_timestamp() and not ${keyed("null")} and not ${keyed("not null")}
        order by due_at, id limit $3::integer for update skip locked
      ))
      returning id, due_at, message_id, key, body, attempts, epoch
    )
    select id::text as id, message_id, key, body, attempts, epoch from taken order by due_at, taken.id`;
}
