/**
 * What the program and its workers share: a queue of files that are to be taken in, and what became of them, both in Postgres.
 *
 * @module
 */
import type { Queue } from "millrace";
import { postgres, postgresQueue } from "millrace/adapters/postgres";

/** What became of a file. */
export interface Outcome {
  readonly path: string;
  /** Why it could not be read. */
  readonly reason?: string;
  readonly pages: number;
  readonly chunks: number;
  readonly stored: number;
}

/** The work of one target. */
export interface WorkQueue extends AsyncDisposable {
  /** Addresses of files, one a message. The correlation id says which run has asked. */
  readonly files: Queue;
  /** Writes an outcome down for the run that has asked. Twice is once. */
  note(run: string, outcome: Outcome, signal: AbortSignal): Promise<void>;
  /** The outcomes of a run that were written down since it last asked. */
  take(run: string, signal: AbortSignal): Promise<readonly Outcome[]>;
}

/** Milliseconds until the file of a worker that is gone is another's; while one works it prolongs that. */
const leaseMs = 5_000;
const outcomes = "millrace_intake_outcomes";

/** Opens it, and makes the tables if there are none. Runs and workers of one target must see the same files. */
export async function openWorkQueue(connectionString: string, target: string): Promise<WorkQueue> {
  const files = postgresQueue({ connectionString, table: `millrace_intake_${target}`, leaseMs, connections: 4 });
  const sql = postgres({ connectionString, connections: 2 });
  const close = async (): Promise<void> => void (await Promise.all([files.close(), sql.close()]));
  try {
    await files.setup();
    await sql.transaction(async (session) => {
      // two that look at the same moment would both make it
      await session.execute({ text: "select pg_advisory_xact_lock(hashtextextended($1, 0))", values: [outcomes] });
      await session.execute({
        text: `create table if not exists ${outcomes} (
          run text, path text, outcome json not null, noted_at timestamptz not null default statement_timestamp(), primary key (run, path)
        )`,
      });
      // of runs that were killed; nobody asks for them any more
      await session.execute({ text: `delete from ${outcomes} where noted_at < statement_timestamp() - interval '7 days'` });
    });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    files,
    async note(run, outcome, signal) {
      const text = `insert into ${outcomes} (run, path, outcome) values ($1, $2, $3) on conflict do nothing`;
      await sql.execute({ text, values: [run, outcome.path, JSON.stringify(outcome)] }, { signal });
    },
    async take(run, signal) {
      const { rows } = await sql.execute({ text: `delete from ${outcomes} where run = $1 returning outcome`, values: [run] }, { signal });
      return rows.map((row) => row["outcome"] as unknown as Outcome); // as `note` has written it
    },
    [Symbol.asyncDispose]: close,
  };
}
