/** The process that stores sources is killed within its writes, over real servers: what is found is whole, and the next run repairs the rest. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { describe, expect, test, vi } from "vitest";
import { isText, run } from "../../src/index.ts";
import { retrieve } from "../../src/kinds/retrieve.ts";
import { chunksOfSource } from "../../src/kinds/vector-source.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { letters } from "../kinds/letters.ts";
import { type OwnDatabase, ownDatabase, service, titled } from "../services.ts";
import { contentsOf, openStore } from "./remember/stores.ts";

/** More versions than any round lives for. */
const many = 1_000;

/** Runs the writer from this version on and kills it at the `at`th write that it says; gives the last version that it began. */
async function killedAt(at: number, args: readonly string[], first: number): Promise<number> {
  const writer = writing(args, first, many);
  const exited = new Promise((resolve) => writer.once("exit", resolve));
  let writes = 0;
  let begun = first;
  for await (const line of createInterface({ input: writer.stdout })) {
    const stored = /^stored (\d+)$/.exec(line)?.[1];
    if (stored === undefined) writes += 1;
    else begun = Number(stored) + 1; // also of what it said while the signal was on its way
    if (writes === at) writer.kill("SIGKILL");
  }
  await exited;
  expect(writes).toBeGreaterThanOrEqual(at);
  return begun;
}

function writing(args: readonly string[], first: number, versions: number) {
  const runtime = "Deno" in globalThis ? ["run", "-A"] : [];
  return spawn(process.execPath, [...runtime, join(import.meta.dirname, "remember", "writer.ts"), ...args, String(first), String(versions)], { stdio: ["ignore", "pipe", "inherit"] });
}

function exitOf(writer: ReturnType<typeof writing>): Promise<number | null> {
  return new Promise((resolve) => writer.once("exit", resolve));
}

/** Connections of writers, and those of them that wait for a lock. */
async function writers(database: OwnDatabase, condition = "true"): Promise<number> {
  const [row] = await database.query(`select count(*)::int as count from pg_stat_activity where datname = current_database() and query like '%unnest%' and pid <> pg_backend_pid() and ${condition}`);
  return Number(row?.["count"]);
}
const waiting = (database: OwnDatabase): Promise<number> => writers(database, "wait_event_type = 'Lock'");

interface Found {
  /** Which version of each source is found, whole. */
  readonly versions: Readonly<Record<string, number>>;
  readonly unfinished: readonly string[];
}

/** What a reader finds; a source that is not whole, or of two versions, fails. */
async function found(store: VectorStore): Promise<Found> {
  const parts = await run(retrieve(store, letters(), { limit: 1_000 }), "source").collect();
  const matches = parts.filter((part) => part.metadata.match !== undefined);
  const versions: Record<string, number> = {};
  for (const { metadata } of matches) versions[String(metadata.source)] ??= Number(metadata.version);
  for (const [source, version] of Object.entries(versions)) {
    const own = matches.filter(({ metadata }) => metadata.source === source).map((part) => (isText(part) ? part.text : "")).sort();
    const whole = contentsOf(version).filter(({ metadata }) => metadata.source === source).map((part) => (isText(part) ? part.text : "")).sort();
    expect(own, source).toEqual(whole);
  }
  return { versions, unfinished: parts.flatMap(({ metadata: { unfinished } }) => (unfinished as string[] | undefined) ?? []) };
}

async function killedAndRepaired(kind: string, url: string, rounds: number): Promise<void> {
  const name = `killed-${randomUUID()}`.replaceAll("-", kind === "chroma" ? "-" : "_");
  await using store = openStore(kind, url, name);
  await store.setup();
  let before = await found(store);
  let version = 1;
  for (let round = 1; round <= rounds; round += 1) {
    const began = await killedAt(1 + round * 3, [kind, url, name], version);
    const now = await found(store);
    for (const source of ["s0", "s1", "s2", "s3", "s4"]) {
      const allowed = [began, began - 1, began - 2, before.versions[source], undefined]; // s4 may be left from the version before the last
      expect(allowed, `version of ${source} in round ${round}`).toContain(now.versions[source]);
      const stored = await store.count({ eq: ["source", source] });
      if (stored > 0 && now.versions[source] === undefined) expect(now.unfinished).toContain(source);
    }
    before = now;
    version = began + 1;
  }
  const last = writing([kind, url, name], version, 1);
  expect(await exitOf(last)).toBe(0);
  const names = [...new Set(contentsOf(version).map(({ metadata }) => String(metadata.source)))];
  expect(await found(store)).toEqual({ versions: Object.fromEntries(names.map((source) => [source, version])), unfinished: [] });
  expect(await store.count()).toBe(contentsOf(version).length);
}

const chromaServer = await service("chroma");
test.skipIf(chromaServer.skip !== undefined)(titled("chroma, which swaps in steps", chromaServer), () => killedAndRepaired("chroma", chromaServer.url ?? "", 6), 90_000);

const postgres = await service("pgvector");
describe.skipIf(postgres.skip !== undefined)(titled("on Postgres", postgres), () => {
  test("pgvector, which swaps in one", async () => {
    await using database = await ownDatabase(postgres.url ?? "");
    await killedAndRepaired("pgvector", database.url, 3);
  }, 120_000);

  test("pgvector keeps the old content when the process is killed between the deletion and the insertion", async () => {
    await using database = await ownDatabase(postgres.url ?? "");
    const args = ["pgvector", database.url, "notes"];
    await using store = openStore("pgvector", database.url, "notes");
    await store.setup();
    expect(await exitOf(writing(args, 1, 1))).toBe(0);
    const chunks = contentsOf(2).filter(isText).filter(({ metadata }) => metadata.source === "s0");
    const { ids } = await chunksOfSource("s0", chunks, "");
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await other.query("begin"); // the insertion waits for what becomes of this row
    await other.query("insert into notes (id, embedding) select $1, embedding from notes limit 1", [ids[1]]);
    const writer = writing(args, 2, 1);
    const exited = exitOf(writer);
    await vi.waitFor(async () => expect(await waiting(database)).toBe(1), { timeout: 20_000 });
    writer.kill("SIGKILL");
    await exited;
    await other.query("rollback");
    await other.end();
    await vi.waitFor(async () => expect(await writers(database)).toBe(0), { timeout: 20_000 });
    expect((await found(store)).versions).toEqual({ s0: 1, s1: 1, s2: 1, s3: 1, s4: 1 });
  }, 120_000);
});
