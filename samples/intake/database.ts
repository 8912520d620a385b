/**
 * Where documents are remembered: a Postgres at `DATABASE_URL`, else one embedded in this process, kept in a folder.
 *
 * @module
 */
import { mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { VectorStore } from "millrace";
import { pgvector } from "millrace/adapters/pgvector";
import { type EmbeddedPostgres, embeddedPostgres } from "./embedded.ts";

/** A store, ready for use. */
export interface Database extends AsyncDisposable {
  readonly store: VectorStore;
}

/** What it is, for people. */
export function databaseName(folder: string): string {
  const url = databaseUrl();
  return url === undefined ? `an embedded Postgres in ${relative(process.cwd(), folder) || "."}` : `Postgres at ${new URL(url).host}`;
}

/** Opens it, and makes the table if there is none. */
export async function openDatabase(folder: string, dimensions: number): Promise<Database> {
  const url = databaseUrl();
  if (url !== undefined) return openServer(url, dimensions);
  const unlock = await lock(folder);
  try {
    const client = await embedded(join(folder, "pgdata"));
    const store = pgvector({ client, ...tableOf(dimensions) });
    await store.setup();
    return {
      store,
      async [Symbol.asyncDispose]() {
        await store.close();
        await client.close();
        await unlock();
      },
    };
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** Opens the one of a server, and makes the table if there is none. */
export async function openServer(connectionString: string, dimensions: number): Promise<Database> {
  const store = pgvector({ connectionString, ...tableOf(dimensions) });
  await store.setup();
  return { store, [Symbol.asyncDispose]: () => store.close() };
}

/** Of a server, if one was named. */
export function databaseUrl(): string | undefined {
  return process.env["DATABASE_URL"] || undefined;
}

function tableOf(dimensions: number): { readonly table: string; readonly dimensions: number; readonly language: string } {
  return { table: "millrace_intake", dimensions, language: "english" };
}

/** A cluster that was killed while it was being made is made anew; a later kill is mended by Postgres itself. */
async function embedded(folder: string): Promise<EmbeddedPostgres> {
  const ready = join(folder, "..", "ready");
  const isReady = await readFile(ready).then(() => true, () => false);
  if (!isReady) await rm(folder, { recursive: true, force: true });
  const client = await embeddedPostgres(folder);
  if (!isReady) await writeFile(ready, "");
  return client;
}

/** Two processes in one cluster would destroy it. A lock whose owner is gone is taken over. */
async function lock(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "lock");
  for (;;) {
    try {
      const file = await open(path, "wx");
      await file.writeFile(String(process.pid));
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      const owner = Number(await readFile(path, "utf8").catch(() => ""));
      if (owner > 0 && isRunning(owner)) throw new Error(`another intake (process ${owner}) is using ${resolve(folder)}; wait for it, or say --data`);
      await rm(path, { force: true });
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return pid !== process.pid;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
