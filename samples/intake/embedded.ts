/**
 * PGlite in a thread of its own: it makes and recovers its files without letting go of the processor for seconds, and this thread
 * must hear Ctrl-C.
 *
 * @module
 */
import { Worker } from "node:worker_threads";

/** What the thread is asked: a statement, or without one, to close. */
export interface Question {
  readonly id: number;
  readonly text?: string;
  readonly values?: readonly unknown[] | undefined;
}

/** What it answers; the first answer, to no question, says that it is ready. */
export interface Answer {
  readonly id: number;
  readonly rows?: unknown[];
  /** The fields of the error. */
  readonly error?: { readonly message: string };
}

/** One connection to the database of a folder. */
export interface EmbeddedPostgres {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: unknown[] }>;
  close(): Promise<void>;
}

interface Waiting {
  readonly resolve: (rows: unknown[]) => void;
  readonly reject: (why: unknown) => void;
}

/** Opens the database, making it if there is none. */
export async function embeddedPostgres(folder: string): Promise<EmbeddedPostgres> {
  const thread = new Worker(new URL("embedded-thread.ts", import.meta.url), { workerData: folder, execArgv: [] });
  const waiting = new Map<number, Waiting>();
  let questions = 0;
  let ended: Error | undefined;

  const asked = (question: Omit<Question, "id">): Promise<unknown[]> =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) return reject(ended);
      questions += 1;
      waiting.set(questions, { resolve, reject });
      thread.postMessage({ id: questions, ...question } satisfies Question);
    });
  const ready = new Promise<unknown[]>((resolve, reject) => waiting.set(0, { resolve, reject }));
  thread.on("message", ({ id, rows = [], error }: Answer) => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) waiter?.resolve(rows);
    else waiter?.reject(Object.assign(new Error(error.message), error));
  });
  const end = (why: Error): void => {
    ended ??= why;
    for (const { reject } of waiting.values()) reject(why);
    waiting.clear();
  };
  thread.on("error", end);
  thread.on("exit", () => end(new Error("the embedded Postgres has ended")));
  await ready;
  return {
    query: async (text, values) => ({ rows: await asked({ text, values }) }),
    async close() {
      if (ended !== undefined) return;
      await asked({});
      await thread.terminate();
    },
  };
}
