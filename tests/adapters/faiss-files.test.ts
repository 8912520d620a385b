import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { faiss, type FaissOptions } from "../../src/adapters/faiss/index.ts";
import { byteSource } from "../../src/adapters/faiss/byte-source.ts";
import { loadFaissNode } from "../../src/adapters/faiss/faiss-node.ts";
import { readIndex } from "../../src/adapters/faiss/read-index.ts";
import { stampOf } from "../../src/adapters/faiss/file-stamp.ts";
import { saveFile } from "../../src/adapters/faiss/save-file.ts";
import type { VectorMetric } from "../../src/kinds/vector-store.ts";
import { randomVectors } from "../../src/testing/contracts/vector-cases.ts";

/** Without `faiss-node` where it cannot be had: faiss.test.ts says why. */
const hasFaissNode = await loadFaissNode().then(() => true, () => false);
const engines: readonly NonNullable<FaissOptions["engine"]>[] = ["exact", "hnsw", "usearch", ...(hasFaissNode ? ["faiss" as const] : [])];
const folder = join(import.meta.dirname, "faiss");
const made: string[] = [];
function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "millrace-faiss-"));
  made.push(path);
  return path;
}
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

interface Expected {
  readonly queries: readonly (readonly number[])[];
  readonly files: Readonly<Record<string, { readonly ids: readonly (readonly string[])[]; readonly distances: readonly (readonly number[])[] }>>;
}
const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as Expected;
const metricOf = (name: string): VectorMetric => (name.endsWith("l2") ? "l2" : "dot");
const fixture = (name: string): string => join(folder, `${name}.faiss`);
const lettered = (vectors: readonly Float32Array[]): { readonly id: string; readonly vector: Float32Array; readonly text: string; readonly metadata: { readonly n: number } }[] =>
  vectors.map((vector, n) => ({ id: n % 2 === 0 ? `note ${n}` : String(n), vector, text: `text ${n}`, metadata: { n } }));

describe("files that FAISS wrote", () => {
  const readable = Object.keys(expected.files).filter((name) => name !== "ivf" && name !== "flat-l1");
  for (const name of readable) {
    for (const engine of engines) {
      test(`${name} gives to ${engine} what it gives to FAISS: ids, distances and their order`, async () => {
        await using store = faiss({ path: fixture(name), dimensions: 8, metric: metricOf(name), engine, hnsw: { efSearch: 200 } });
        expect(await store.count()).toBe(200);
        for (const [at, query] of expected.queries.entries()) {
          const found = await store.query({ vector: Float32Array.from(query), limit: 5 });
          expect(found.map(({ id }) => id)).toEqual(expected.files[name]?.ids[at]);
          // FAISS gives the square of the Euclidean distance, and the inner product itself
          for (const [i, { distance = Number.NaN }] of found.entries()) {
            expect(name.endsWith("l2") ? distance ** 2 : 0 - distance).toBeCloseTo(expected.files[name]?.distances[at]?.[i] ?? Number.NaN, 4);
          }
        }
      });
    }
  }

  test("of vectors of length 1 open under cosine as well as under the inner product", async () => {
    await using cosine = faiss({ path: fixture("flat-ip"), dimensions: 8, metric: "cosine" });
    const [match] = await cosine.query({ vector: Float32Array.from(expected.queries[0] ?? []).map((x) => x * 3), limit: 1 });
    expect(match?.id).toBe(expected.files["flat-ip"]?.ids[0]?.[0]);
  });

  test("without vectors open, and are added to", async () => {
    for (const [name, metric] of [["empty-flat-l2", "l2"], ["empty-hnsw-ip", "dot"]] as const) {
      const path = join(directory(), "copy.faiss");
      copyFileSync(fixture(name), path);
      await using store = faiss({ path, dimensions: 8, metric, engine: "hnsw" });
      expect(await store.count()).toBe(0);
      await store.upsert([{ id: "a", vector: new Float32Array(8).fill(1) }]);
      expect((await store.query({ vector: new Float32Array(8).fill(1), limit: 1 }))[0]?.id).toBe("a");
    }
  });

  test("of another kind of index or another metric are refused by name", async () => {
    await expect(faiss({ path: fixture("ivf"), dimensions: 8 }).setup()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining('"IwFl"') });
    await expect(faiss({ path: fixture("flat-l1"), dimensions: 8 }).setup()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("metric 2") });
  });

  test("with some other byte are refused, or searched to an end within their rows", async () => {
    const path = join(directory(), "broken.faiss");
    const whole = readFileSync(fixture("hnsw-l2"));
    const vector = Float32Array.from(expected.queries[0] ?? []);
    let refused = 0;
    for (let at = 0; at < whole.length; at += 61) {
      for (const bit of [0x80, 0x01]) {
        const bytes = Uint8Array.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ bit;
        writeFileSync(path, bytes);
        const store = faiss({ path, dimensions: 8, metric: "l2", engine: "hnsw" });
        try {
          const found = await store.query({ vector, limit: 5 });
          expect(found.filter(({ id }) => !(Number(id) >= 0 && Number(id) < 200)), `byte ${at}`).toEqual([]);
        } catch (error) {
          expect(error, `byte ${at}`).toMatchObject({ code: expect.stringMatching(/^(bad_response|invalid_input|conflict)$/) });
          refused += 1;
        }
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  test("with a neighbour that is no row, or not on the level, are refused", async () => {
    const path = join(directory(), "broken.faiss");
    const bytes = readFileSync(fixture("hnsw-l2"));
    let at = 4 + 33; // after the kind and the header
    const array = (elementBytes: number): { readonly start: number; readonly length: number } => {
      const found = { start: at + 8, length: Number(bytes.readBigUInt64LE(at)) };
      at = found.start + found.length * elementBytes;
      return found;
    };
    const [, cumulative, levels, offsets, neighbors] = [array(8), array(4), array(4), array(8), array(4)];
    const levelOf = (row: number): number => bytes.readInt32LE(levels.start + 4 * row);
    const rows = Array.from({ length: levels.length }, (_, row) => row);
    const [upper = -1, lower = -1] = [rows.find((row) => levelOf(row) > 1), rows.find((row) => levelOf(row) === 1)];
    const place = neighbors.start + 4 * (Number(bytes.readBigUInt64LE(offsets.start + 8 * upper)) + bytes.readInt32LE(cumulative.start + 4));
    for (const neighbor of [lower, 200, -2]) {
      const broken = Buffer.from(bytes);
      broken.writeInt32LE(neighbor, place);
      writeFileSync(path, broken);
      await expect(faiss({ path, dimensions: 8, metric: "l2" }).setup()).rejects.toMatchObject({ code: "bad_response", message: expect.stringContaining(`a neighbour of row ${upper}`) });
    }
  });

  test("of other dimensions or another metric than the options say are a conflict", async () => {
    await expect(faiss({ path: fixture("flat-l2"), dimensions: 9, metric: "l2" }).setup()).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("8 dimensions") });
    await expect(faiss({ path: fixture("flat-l2"), dimensions: 8, metric: "dot" }).setup()).rejects.toMatchObject({ code: "conflict" });
    await expect(faiss({ path: fixture("flat-ip"), dimensions: 8, metric: "l2" }).setup()).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("files that were written here", () => {
  for (const engine of engines) {
    test(`hold ids, texts and metadata by ${engine}, and the same nearest when they are opened again`, async () => {
      const options: FaissOptions = { path: join(directory(), "notes.faiss"), dimensions: 12, metric: "l2", engine, hnsw: { m: 8, efSearch: 300 } };
      const [query = new Float32Array(12)] = randomVectors(1, 12, 5);
      await using first = faiss(options);
      await first.upsert(lettered(randomVectors(300, 12)));
      await first.delete({ filter: { lt: ["n", 50] } });
      await first.upsert([{ id: "note 50", vector: query }]);
      const before = await first.query({ vector: query, limit: 20 });
      await first.save();
      await using second = faiss(options);
      expect(await second.count()).toBe(250);
      expect(await second.query({ vector: query, limit: 20 })).toEqual(before);
      expect(before[0]).toMatchObject({ id: "note 50", distance: 0 });
      expect(await second.get(["note 49", "51"])).toEqual([{ id: "51", text: "text 51", metadata: { n: 51 } }]);
      await second.delete({ ids: ["note 50"] });
      expect((await second.query({ vector: query, limit: 20 })).map(({ id }) => id)).not.toContain("note 50");
    });
  }

  test.each(engines.filter((engine) => engine === "hnsw" || engine === "faiss"))("keep the graph of %s, which is searched as it was and goes on growing", async (engine) => {
    const options: FaissOptions = { path: join(directory(), "notes.faiss"), dimensions: 16, engine, hnsw: { m: 4, efConstruction: 8, efSearch: 8 } };
    const queries = randomVectors(20, 16, 3);
    await using first = faiss(options);
    await first.upsert(lettered(randomVectors(1_000, 16)));
    await first.save();
    // with other options a graph that is built anew finds others: these find the same, so they search the graph of the file
    await using second = faiss({ ...options, hnsw: { m: 32, efSearch: 8 } });
    for (const vector of queries) expect(await second.query({ vector, limit: 8 })).toEqual(await first.query({ vector, limit: 8 }));
    const more = randomVectors(500, 16, 9).map((vector, n) => ({ id: `more ${n}`, vector }));
    await second.upsert(more);
    let own = 0;
    for (const { id, vector } of more) own += (await second.query({ vector, limit: 1 }))[0]?.id === id ? 1 : 0;
    expect(own).toBeGreaterThan(450);
  });

  test("are written by close when something has changed, and by nothing else", async () => {
    const path = join(directory(), "notes.faiss");
    const idle = faiss({ path, dimensions: 2 });
    await idle.setup();
    await idle.delete({ ids: ["never"] });
    await idle.close();
    expect(existsSync(path)).toBe(false);
    const store = faiss({ path, dimensions: 2 });
    void store.upsert([{ id: "a", vector: Float32Array.of(1, 0) }]); // not waited for: closing comes after it
    await store.close();
    const again = faiss({ path, dimensions: 2 });
    expect(await again.count()).toBe(1);
    const bytes = readFileSync(path);
    rmSync(path);
    await again.close();
    expect(existsSync(path)).toBe(false);
    expect(bytes.length).toBeGreaterThan(0);
  });

  test("are not written anew when nothing has changed, and hold nothing only when they were asked for", async () => {
    const path = join(directory(), "notes.faiss");
    await using store = faiss({ path, dimensions: 2 });
    await store.save();
    const { ino } = statSync(path);
    await store.save();
    expect(statSync(path).ino).toBe(ino);
    await store.upsert([{ id: "a", vector: Float32Array.of(1, 0) }]);
    await store.save();
    expect(statSync(path).ino).not.toBe(ino);
  });

  test("give each id a number of its own, which is the id's where it is one, and stays", async () => {
    const path = join(directory(), "notes.faiss");
    await using store = faiss({ path, dimensions: 2 });
    const numbersOf = async (): Promise<readonly bigint[]> => {
      await store.save();
      const handle = await open(path);
      const { keys = new BigInt64Array() } = await readIndex(await byteSource("test", handle, statSync(path).size), () => () => {});
      await handle.close();
      return [...keys];
    };
    const first = 2n ** 53n;
    const put = (...ids: readonly string[]): Promise<void> => store.upsert(ids.map((id) => ({ id, vector: Float32Array.of(1, 0) })));
    await put("a", "7", "b", "07", "-1", "1e3", "9007199254740991", "9007199254740992");
    expect(await numbersOf()).toEqual([first, 7n, first + 1n, first + 2n, first + 3n, first + 4n, first - 1n, first + 5n]);
    await put("c", "a");
    expect((await numbersOf()).slice(-2)).toEqual([first + 6n, first]);
    await store.delete({ ids: ["7", "b"] });
    expect(await numbersOf()).toEqual([first + 2n, first + 3n, first + 4n, first - 1n, first + 5n, first + 6n, first]);
  });

  test("are of one moment: a change that comes while one is written is not in it, and is not lost", async () => {
    const path = join(directory(), "notes.faiss");
    await using store = faiss({ path, dimensions: 64 });
    await store.upsert(lettered(randomVectors(5_000, 64)));
    const saved = store.save();
    const changed = store.delete({ filter: { gte: ["n", 0] } });
    await saved;
    await using meanwhile = faiss({ path, dimensions: 64 });
    expect(await meanwhile.count()).toBe(5_000);
    await changed;
    expect(await store.count()).toBe(0);
  });

  test("do not hold up a caller whose signal aborts while one is written", async () => {
    await using store = faiss({ path: join(directory(), "notes.faiss"), dimensions: 64 });
    await store.upsert(lettered(randomVectors(5_000, 64)));
    const ended: string[] = [];
    const leaving = new AbortController();
    const saved = store.save().then(() => ended.push("saved"));
    const waiting = store.delete({ ids: ["1"] }, { signal: leaving.signal }).catch((error: Error) => ended.push(error.message));
    leaving.abort(new Error("enough"));
    await Promise.all([saved, waiting]);
    expect(ended).toEqual(["enough", "saved"]);
    expect(await store.count()).toBe(5_000);
  });

  test("are not written over what somebody else has written since", async () => {
    const path = join(directory(), "notes.faiss");
    const [mine, theirs] = [faiss({ path, dimensions: 2 }), faiss({ path, dimensions: 2 })];
    await mine.setup();
    await theirs.upsert([{ id: "theirs", vector: Float32Array.of(1, 0) }]);
    await theirs.close();
    await mine.upsert([{ id: "mine", vector: Float32Array.of(1, 0) }]);
    await expect(mine.save()).rejects.toMatchObject({ code: "conflict", message: 'faiss: "notes.faiss" was changed by somebody else since it was read' });
    await expect(mine.close()).rejects.toMatchObject({ code: "conflict" });
    await using now = faiss({ path, dimensions: 2 });
    expect(await now.get(["mine", "theirs"])).toHaveLength(1);
    expect(readdirSync(join(path, ".."))).toEqual(["notes.faiss"]);
  });

  test("are refused when a byte of them is another, and when any part of their end is missing", async () => {
    const path = join(directory(), "notes.faiss");
    await using store = faiss({ path, dimensions: 2, engine: "hnsw", hnsw: { m: 2 } });
    await store.upsert([{ id: "a", vector: Float32Array.of(1, 0), text: "east" }, { id: "7", vector: Float32Array.of(0, 1), metadata: { n: 1 } }]);
    await store.save();
    const whole = readFileSync(path);
    const opened = async (bytes: Uint8Array): Promise<string> => {
      writeFileSync(path, bytes);
      return faiss({ path, dimensions: 2, engine: "hnsw" }).setup().then(() => "opened", (error: { code: string }) => error.code);
    };
    for (let at = 0; at < whole.length; at += 1) {
      const bytes = Uint8Array.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ 0x41;
      expect(["bad_response", "invalid_input", "conflict"], `byte ${at}`).toContain(await opened(bytes));
      expect(await opened(whole.subarray(0, at)), `cut at ${at}`).toBe("bad_response");
    }
    expect(await opened(Buffer.concat([whole, Buffer.of(0)]))).toBe("bad_response");
    expect(await opened(whole)).toBe("opened");
    writeFileSync(path, whole); // as it was, so that closing has nothing to complain about
  });

  test("need a path to save, and a directory to be in", async () => {
    await using none = faiss({ dimensions: 2 });
    await expect(none.save()).rejects.toMatchObject({ code: "missing_config", message: "faiss: save needs the option path" });
    const store = faiss({ path: join(directory(), "missing", "notes.faiss"), dimensions: 2 });
    await store.upsert([{ id: "a", vector: Float32Array.of(1, 0) }]);
    await expect(store.save()).rejects.toMatchObject({ code: "not_found", message: 'faiss: "notes.faiss": ENOENT' });
    await expect(store.close()).rejects.toMatchObject({ code: "not_found" });
  });

  test("of a writer that was killed are whole: what it had written last or what it was writing", async () => {
    const path = join(directory(), "notes.faiss");
    for (let round = 0; round < 6; round += 1) {
      const before = await versionOf(path);
      const writer = spawn(process.execPath, [...("Deno" in globalThis ? ["run", "-A"] : []), join(folder, "writer.ts"), path], { stdio: ["ignore", "pipe", "inherit"] });
      let lines = 0;
      for await (const chunk of writer.stdout) {
        lines += String(chunk).split("\n").length - 1;
        if (lines > round) break; // in the middle of the next file, or of its renaming
      }
      const exited = new Promise((resolve) => writer.once("exit", resolve));
      writer.kill("SIGKILL");
      await exited;
      expect(await versionOf(path)).toBeGreaterThanOrEqual(before + round + 1);
    }
  }, 120_000);

  /** The one version that all records of a file are of; throws when they are of several. */
  async function versionOf(path: string): Promise<number> {
    await using store = faiss({ path, dimensions: 64 });
    const [entry] = await store.get(["0"]);
    const version = Number(entry?.metadata["version"] ?? 0);
    expect(await store.count({ eq: ["version", version] })).toBe(entry === undefined ? 0 : 2_000);
    return version;
  }
});

describe("saveFile", () => {
  test("leaves the old file, and nothing beside it, when the bytes fail or the signal aborts before their end", async () => {
    const path = join(directory(), "notes.faiss");
    writeFileSync(path, "old");
    const stamp = stampOf(statSync(path, { bigint: true }));
    function* failing(): Generator<Uint8Array> {
      yield new Uint8Array(2 ** 21);
      throw new Error("no more");
    }
    await expect(saveFile("faiss", path, failing(), stamp, undefined)).rejects.toThrow("no more");
    const leaving = new AbortController();
    function* aborting(): Generator<Uint8Array> {
      yield new Uint8Array(2 ** 21);
      leaving.abort(new Error("enough"));
    }
    await expect(saveFile("faiss", path, aborting(), stamp, leaving.signal)).rejects.toThrow("enough");
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(join(path, ".."))).toEqual(["notes.faiss"]);
    await saveFile("faiss", path, [Buffer.from("new")], stamp, undefined);
    expect(readFileSync(path, "latin1").slice(0, 3)).toBe("new");
  });
});

const python = process.env["FAISS_PYTHON"] ?? "python3";
const script = join(folder, "indexes.py");
const asked = spawnSync(python, [script, "version"], { encoding: "utf8" });
const skip = asked.status === 0 ? undefined : `${python} has no faiss; FAISS_PYTHON names one that has`;
describe.skipIf(skip !== undefined)(skip === undefined ? `with FAISS ${asked.stdout.trim()} itself` : `with FAISS itself (skipped: ${skip})`, () => {
  interface Answers {
    readonly type: string;
    readonly inner: string;
    readonly count: number;
    readonly ids: readonly (readonly number[])[];
  }
  const call = (args: readonly string[], input: unknown): string => {
    const { status, stdout, stderr } = spawnSync(python, [script, ...args], { encoding: "utf8", input: JSON.stringify(input), maxBuffer: 2 ** 26 });
    if (status !== 0) throw new Error(stderr);
    return stdout;
  };
  const search = (path: string, queries: readonly Float32Array[], limit: number, efSearch = 64): Answers =>
    JSON.parse(call(["search", path], { queries: queries.map((query) => [...query]), limit, efSearch })) as Answers;
  const queries = randomVectors(10, 16, 3);

  for (const [engine, inner] of [["exact", "IndexFlat"], ["hnsw", "IndexHNSWFlat"], ...(hasFaissNode ? [["faiss", "IndexHNSWFlat"] as const] : [])] as const) {
    for (const metric of ["cosine", "dot", "l2"] as const) {
      test(`a file of ${engine} by ${metric} opens there, and comes back with what was added there`, async () => {
        const path = join(directory(), "notes.faiss");
        const options: FaissOptions = { path, dimensions: 16, metric, engine, hnsw: { efSearch: 500 } };
        const store = faiss(options);
        await store.upsert(Array.from(randomVectors(500, 16).entries(), ([n, vector]) => ({ id: String(n), vector, metadata: { n } })));
        await store.delete({ ids: ["3", "4"] });
        await store.save();
        const there = search(path, queries, 10, 500);
        expect(there.type).toBe("IndexIDMap2");
        expect(there.inner).toContain(inner);
        for (const [at, vector] of queries.entries()) {
          const here = (await store.query({ vector, limit: 12 })).map(({ id }) => Number(id));
          expect(there.ids[at]?.filter((id) => id >= 0)).toEqual(here.slice(0, there.ids[at]?.filter((id) => id >= 0).length));
        }
        await store.close();
        const added = randomVectors(50, 16, 8).map((vector) => (metric === "cosine" ? vector.map((x) => x / Math.hypot(...vector)) : vector));
        call(["continue", path], { vectors: added.map((vector) => [...vector]), ids: added.map((_, n) => 1_000 + n) });
        await using again = faiss(options);
        expect(await again.count()).toBe(548);
        expect(await again.get(["3", "5"])).toEqual([{ id: "5", metadata: {} }]);
        if (metric === "l2") expect((await again.query({ vector: added[7] ?? new Float32Array(16), limit: 1 }))[0]).toMatchObject({ id: "1007", distance: 0 });
      });
    }
  }

  test("a graph that was built here leads to as many of the nearest as one of the same options that was built there", async () => {
    const vectors = randomVectors(3_000, 32);
    const asking = randomVectors(100, 32, 3);
    const [ours, theirs] = [join(directory(), "ours.faiss"), join(directory(), "theirs.faiss")];
    const options = { dimensions: 32, metric: "l2", engine: "hnsw", hnsw: { m: 8, efConstruction: 40, efSearch: 32 } } as const;
    await using exact = faiss({ dimensions: 32, metric: "l2" });
    await using built = faiss({ ...options, path: ours });
    for (const store of [exact, built]) await store.upsert(vectors.map((vector, n) => ({ id: String(n), vector })));
    await built.save();
    call(["build", theirs, "8"], { vectors: vectors.map((vector) => [...vector]), efConstruction: 40 });
    const truth: (readonly string[])[] = [];
    for (const vector of asking) truth.push((await exact.query({ vector, limit: 10 })).map(({ id }) => id));
    const recall = (answers: readonly (readonly (string | number)[])[]): number =>
      answers.reduce((sum, ids, at) => sum + ids.filter((id) => truth[at]?.includes(String(id))).length, 0) / (10 * asking.length);
    const here = async (path: string): Promise<number> => {
      await using store = faiss({ ...options, path });
      const answers: (readonly string[])[] = [];
      for (const vector of asking) answers.push((await store.query({ vector, limit: 10 })).map(({ id }) => id));
      return recall(answers);
    };
    const there = (path: string): number => recall(search(path, asking, 10, 32).ids);
    const found = { ours: [await here(ours), there(ours)], theirs: [await here(theirs), there(theirs)] };
    console.log(`recall of 10 among 3,000, here and there: our graph ${found.ours.join(" ")}, theirs ${found.theirs.join(" ")}`);
    for (const share of [...found.ours, ...found.theirs]) expect(share).toBeGreaterThan(0.8);
    expect(Math.abs(there(ours) - there(theirs))).toBeLessThan(0.05);
    expect(Math.abs((await here(theirs)) - there(theirs))).toBeLessThan(0.05);
  });
});
