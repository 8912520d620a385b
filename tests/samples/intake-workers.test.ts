import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readArgs } from "../../samples/intake/args.ts";
import { findTarget } from "../../samples/intake/target.ts";
import { type OwnDatabase, ownDatabase, service, titled } from "../services.ts";
import { root } from "../scripts/side-folder.ts";

const sample = join(root, "samples", "intake");
mkdirSync(join(root, ".cache"), { recursive: true });
const scratch = mkdtempSync(join(root, ".cache", "intake-workers-test-"));
const children = new Set<ChildProcess>();
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});
/** The inbox of the sample without the scans that take longest to read. */
const inbox = join(scratch, "inbox");
cpSync(join(sample, "inbox"), inbox, { recursive: true, filter: (path) => !/insurance|letter|delivery/.test(basename(path)) });
const { name } = await findTarget(inbox);

interface Running {
  readonly child: ChildProcess;
  /** The processes of its workers, once it has told of them. */
  readonly workers: Promise<readonly number[]>;
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>;
}

function start(program: string, args: readonly string[], database: OwnDatabase | undefined): ChildProcessByStdio<null, Readable, Readable> {
  const { OPENAI_API_KEY: _, OLLAMA_HOST: __, DATABASE_URL: ___, ...rest } = process.env;
  const env = database === undefined ? rest : { ...rest, DATABASE_URL: database.url };
  const child = spawn(process.execPath, ["--conditions=millrace-source", join(sample, program), inbox, ...args], { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  child.once("close", () => children.delete(child));
  return child;
}

/** Starts an intake of the inbox that asks nothing; `data` keeps the list of known files. */
function intake(database: OwnDatabase | undefined, data: string, ...args: readonly string[]): Running {
  const child = start("main.ts", ["--no-ask", "--data", join(scratch, data), ...args], database);
  let [out, err] = ["", ""];
  const told = Promise.withResolvers<readonly number[]>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    const pids = /^Workers: (.*)$/m.exec(out)?.[1];
    if (pids !== undefined) told.resolve(pids.split(", ").map(Number));
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const ended = new Promise<Awaited<Running["ended"]>>((resolve) => child.once("close", (code) => resolve({ code, out, err })));
  void ended.then(() => told.resolve([]));
  return { child, workers: told.promise, ended };
}

/** All that is stored but the vectors, whose last digits differ with what they were computed beside. */
const stored = (database: OwnDatabase): Promise<Record<string, unknown>[]> => database.query("select id, text, metadata from millrace_intake order by id");

/** The lines of the report that are the same whoever did it: pages are those of the try that was heard of. */
function told(out: string): readonly string[] {
  const lines = out.split("\n").filter((line) => line.startsWith("  ")).map((line) => line.trim().replaceAll(/ +/g, " "));
  return lines.filter((line) => !/^(?:pages|seconds) /.test(line));
}

/** Waits until workers hold files. */
async function begun({ child, ended }: Running, database: OwnDatabase): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it has ended: ${(await ended).err}`);
    const rows = await database.query(`select holder from millrace_intake_${name} where holder is not null`).catch(() => []); // no table yet
    if (rows.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits for a random time, shorter than the work takes. Gives the milliseconds. */
async function aMoment(): Promise<number> {
  const ms = Math.random() * 500;
  await new Promise((resolve) => setTimeout(resolve, ms));
  return ms;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const server = await service("pgvector");
describe.skipIf(server.skip !== undefined)(titled("an intake by workers", server), { timeout: 120_000 }, () => {
  let alone: { readonly told: readonly string[]; readonly stored: readonly Record<string, unknown>[] };
  beforeAll(async () => {
    await using database = await ownDatabase(server.url ?? "");
    const { code, out, err } = await intake(database, "alone").ended;
    expect(code, err).toBe(0);
    alone = { told: told(out), stored: await stored(database) };
    expect(alone.told).toEqual(expect.arrayContaining(["files 12", "taken in 9", "skipped 3", "empty.txt: no text in it"]));
  }, 120_000);

  test("stores and skips what one process does, though one of two is killed while it works", async () => {
    await using database = await ownDatabase(server.url ?? "");
    const run = intake(database, "killed", "--workers", "2");
    const pids = await run.workers;
    await begun(run, database);
    const [at, afterMs] = [Math.floor(Math.random() * 2), await aMoment()];
    const [pid = 0, other = 0] = at === 0 ? pids : pids.toReversed();
    process.kill(pid, "SIGKILL");
    const { code, out, err } = await run.ended;
    const about = `worker ${at} was killed after ${afterMs} ms\n${err}`;
    expect(code, about).toBe(0);
    expect(out, about).toContain(`Lost workers: ${pid} (SIGKILL)`);
    expect(told(out), about).toEqual(alone.told);
    expect(await stored(database), about).toEqual(alone.stored);
    expect(isRunning(other), "workers end with the program").toBe(false);
    expect(await database.query(`select * from millrace_intake_${name}`), "all is settled").toEqual([]);
  });

  test("is gone on with by the next, when it was killed itself with one of its workers; the other ends", async () => {
    await using database = await ownDatabase(server.url ?? "");
    const first = intake(database, "resumed", "--workers", "2");
    const [pid = 0] = await first.workers;
    await begun(first, database);
    const afterMs = await aMoment();
    process.kill(pid, "SIGKILL");
    first.child.kill("SIGKILL");
    await first.ended;
    const connected = (): Promise<unknown[]> => database.query("select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
    while ((await connected()).length > 0) await new Promise((resolve) => setTimeout(resolve, 50)); // the time limit of the test is theirs
    const elsewhere = start("worker.ts", [], database);
    const { code, out, err } = await intake(database, "resumed", "--workers", "0").ended;
    const about = `killed after ${afterMs} ms\n${err}`;
    expect(code, about).toBe(0);
    expect(told(out), about).toEqual(expect.arrayContaining(alone.told.filter((line) => line.includes(": "))));
    expect(await stored(database), about).toEqual(alone.stored);
    process.kill(elsewhere.pid ?? 0, "SIGTERM"); // of `elsewhere.kill` Deno tells that it was killed, whatever the process did
    expect(await once(elsewhere, "exit"), "a worker that was started elsewhere is stopped there").toEqual([0, null]);
  });

  test("says so, and exits with 1, when no worker is left", async () => {
    await using database = await ownDatabase(server.url ?? "");
    const run = intake(database, "alone again", "--workers", "2");
    for (const pid of await run.workers) process.kill(pid, "SIGKILL");
    expect(await run.ended).toMatchObject({ code: 1, err: expect.stringContaining("all workers have ended") });
  });
});

describe("called wrongly", () => {
  test("without a server it says so, and exits with 2", async () => {
    expect(await intake(undefined, "wrong", "--workers", "2").ended).toMatchObject({ code: 2, out: "", err: expect.stringContaining("--workers needs DATABASE_URL") });
  });

  for (const given of ["some", "65", "-1", "1.5", ""]) {
    test(`with "${given}" for the number of workers`, () => {
      expect(() => readArgs([`--workers=${given}`], inbox, scratch)).toThrow(/--workers needs a whole number from 0 to 64, got/);
    });
  }
});
