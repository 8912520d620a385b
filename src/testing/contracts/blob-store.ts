/**
 * What every blob store must do. Runs under any runner: it takes `describe` and `it`.
 *
 * @module
 */
import type { BlobAbility, BlobContent, BlobStore } from "../../kinds/blob-store.ts";
import { maxChunkBytes } from "../../kinds/blob-store.ts";
import { check, equal, failsAs, failsWith } from "./check.ts";
import type { TestRunner } from "./runner.ts";
import { withOpen } from "./with-open.ts";

/** The store under test. */
export interface BlobStoreSubject {
  readonly name: string;
  /** Opens a store that holds nothing; called once for each test, which closes it. */
  open(): Promise<BlobStore> | BlobStore;
  /** What the store declares in `lacks`: those tests are skipped with the reason, and the declaration is compared. */
  readonly lacks?: BlobStore["lacks"];
  /** Keys in the many-keys test. @default 1100, more than one page of the large services */
  readonly manyKeys?: number;
}

/**
 * The contract of the blob-store kind.
 *
 * @example
 * import { describe, it } from "node:test";
 *
 * blobStoreContract({ describe, it }, { name: "memory", open: () => memoryBlobStore() });
 */
export function blobStoreContract({ describe, it }: TestRunner, subject: BlobStoreSubject): void {
  const lacks = subject.lacks ?? {};
  const test = (name: string, body: (store: BlobStore) => Promise<void>, needs?: BlobAbility): void => {
    const reason = needs === undefined ? undefined : lacks[needs];
    const run = async (): Promise<void> => withOpen(await subject.open(), body);
    if (reason === undefined) it(name, run);
    else it.skip(`${name} (${reason})`, run);
  };

  describe(`blob store contract: ${subject.name}`, () => {
    test("declares what it lacks", async (store) => {
      equal(store.lacks, lacks, "lacks");
      equal(/^[a-z0-9-]+$/.test(store.service), true, "service name in kebab-case");
    });

    test("gives back the bytes that were put", async (store) => {
      for (const size of [0, 1, 70_000]) {
        const info = await store.put(`sizes/${size}`, [pattern(size)]);
        equal([info.key, info.size], [`sizes/${size}`, size], "what put says");
        const content = await store.get(`sizes/${size}`);
        equal(content.info.size, size, "size on get");
        equal(hex(await gather(content)), hex(pattern(size)), `${size} bytes`);
      }
    });

    test("streams both ways, in chunks of at most 1 MiB", async (store) => {
      const size = 2 * maxChunkBytes + 17;
      await store.put("big", pieces(size, 300_000));
      await store.put("one-chunk", [pattern(size)]);
      for (const key of ["big", "one-chunk"]) {
        let at = 0;
        for await (const chunk of await store.get(key)) {
          check(chunk.byteLength > 0 && chunk.byteLength <= maxChunkBytes, `a chunk of ${chunk.byteLength} bytes`);
          equal(hex(chunk), hex(pattern(chunk.byteLength, at)), `bytes from ${at}`);
          at += chunk.byteLength;
        }
        equal(at, size, "bytes in all");
      }
    });

    test("keeps the mime type", async (store) => {
      await store.put("x", [pattern(3)], { mimeType: "image/png" });
      equal(await infoOf(store, "x", (info) => info.mimeType), "image/png", "mime type");
      await store.put("y", [pattern(3)]);
      equal(await infoOf(store, "y", (info) => info.mimeType), "application/octet-stream", "mime type by default");
    }, "mimeType");

    test("keeps metadata, and refuses what would not come back", async (store) => {
      await store.put("x", [pattern(3)], { metadata: { "millrace-part": '{"role":"user"}', n: "" } });
      equal(await infoOf(store, "x", (info) => [info.metadata["millrace-part"], info.metadata["n"]]), ['{"role":"user"}', ""], "metadata");
      await failsWith("invalid_input", () => store.put("x", [], { metadata: { "Not-Lower": "a" } }), "upper-case name");
      await failsWith("invalid_input", () => store.put("x", [], { metadata: { a: "b\r\nc: d" } }), "line break in a value");
    }, "metadata");

    test("replaces a blob whole", async (store) => {
      await store.put("x", [pattern(100)]);
      await store.put("x", [pattern(5)]);
      equal(hex(await gather(await store.get("x"))), hex(pattern(5)), "the second content");
    });

    test("writes once with ifAbsent, whoever comes first", async (store) => {
      const puts = [1, 2, 3].map((size) => store.put("x", [pattern(size)], { ifAbsent: true }).then(() => size, (error: unknown) => error));
      const results = await Promise.all(puts);
      const winners = results.filter((result) => typeof result === "number");
      equal(winners.length, 1, "writers that won");
      for (const result of results) if (typeof result !== "number") await failsWith("conflict", () => Promise.reject(result), "a loser");
      equal((await gather(await store.get("x"))).byteLength, winners[0], "bytes of the winner");
    }, "ifAbsent");

    test("gives ranges", async (store) => {
      await store.put("x", pieces(1_000, 300));
      const range = async (start: number, end?: number): Promise<string> =>
        hex(await gather(await store.get("x", { range: end === undefined ? { start } : { start, end } })));
      equal(await range(0, 1), hex(pattern(1)), "the first byte");
      equal(await range(299, 601), hex(pattern(302, 299)), "over the edges of the chunks");
      equal(await range(990), hex(pattern(10, 990)), "to the end");
      equal(await range(990, 5_000), hex(pattern(10, 990)), "past the end");
      equal(await infoOf(store, "x", (info) => info.size, { start: 5, end: 6 }), 1_000, "size of the whole");
      for (const [start, end] of [[-1, 5], [5, 5], [6, 5], [1.5, 3], [1_000, 1_001]] as const) {
        await failsWith("invalid_input", () => range(start, end), `range ${start} to ${end}`);
      }
    }, "range");

    test("fails with conflict when the blob changed between two ranges", async (store) => {
      const { version } = await store.put("x", [pattern(10)]);
      check(version !== undefined, "a version to compare with");
      equal((await gather(await store.get("x", { ifVersion: version }))).byteLength, 10, "the same version");
      await store.put("x", [pattern(11)]);
      await failsWith("conflict", () => store.get("x", { ifVersion: version }), "another version");
    }, "ifVersion");

    test("says not_found for a key that is not there", async (store) => {
      await store.put("a/b", [pattern(1)]);
      for (const key of ["b", "a", "a/b/c"]) await failsWith("not_found", () => store.get(key), key);
    });

    test("keeps keys apart and refuses hostile ones", async (store) => {
      const keys = ["a", "a.b", "a b", "a%2Fb", "ü", "e\u0301", "\u00e9", "日本", "a#b?c", "a/b.c/d", "..a", "a..b", "x".repeat(200)];
      for (const [size, key] of keys.filter((key) => key !== "a").entries()) await store.put(key, [pattern(size)]);
      for (const [size, key] of keys.filter((key) => key !== "a").entries()) {
        equal((await gather(await store.get(key))).byteLength, size, `bytes of ${key}`);
        equal(store.keyOf(store.uriOf(key)), key, "the key of its address");
      }
      equal([...(await listed(store))].sort(), keys.filter((key) => key !== "a").sort(), "all keys");
      const hostile = ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/./b", "a\u0000b", "a\nb", "a\\b", "\ud800", "é".repeat(513)];
      for (const key of hostile) {
        for (const call of [() => store.get(key), () => store.put(key, [pattern(1)]), () => store.delete([key]), () => store.uriOf(key)]) {
          await failsWith(["invalid_input", "refused"], call, `key ${JSON.stringify(key)}`);
        }
      }
      equal([...(await listed(store))].length, keys.length - 1, "keys afterwards");
      equal(store.keyOf("https://example.test/a"), undefined, "the key of a foreign address");
    });

    test("lists by prefix, with sizes, and stops when left", async (store) => {
      for (const key of ["a/1", "a/2", "ab", "b/1"]) await store.put(key, [pattern(key.length)]);
      equal([...(await listed(store, "a/"))].sort(), ["a/1", "a/2"], "under a/");
      equal([...(await listed(store, "a"))].sort(), ["a/1", "a/2", "ab"], "beginning with a");
      equal([...(await listed(store, "none"))], [], "under nothing");
      for await (const entry of store.list()) {
        equal(entry.size, entry.key.length, "size");
        break;
      }
    });

    test("lists and deletes more keys than fit a page", async (store) => {
      const keys = Array.from({ length: subject.manyKeys ?? 1_100 }, (_, i) => `many/${i}`);
      for (let at = 0; at < keys.length; at += 50) await Promise.all(keys.slice(at, at + 50).map((key) => store.put(key, [pattern(1)])));
      equal((await listed(store, "many/")).size, keys.length, "keys listed");
      await store.delete(keys.slice(1));
      equal([...(await listed(store))], ["many/0"], "keys left");
    });

    test("deletes, and what is not there is fine", async (store) => {
      await store.put("a", [pattern(1)]);
      await store.put("b", [pattern(1)]);
      await store.delete(["a", "never-there"]);
      await store.delete([]);
      equal([...(await listed(store))], ["b"], "keys left");
      await failsWith("not_found", () => store.get("a"), "a deleted key");
    });

    test("stores nothing when the chunks fail, end early or are no bytes, and closes them", async (store) => {
      await store.put("old", [pattern(4)]);
      const broken = new Error("the source broke");
      let closed = 0;
      async function* source(then: () => unknown): AsyncGenerator<Uint8Array> {
        try {
          yield pattern(100_000);
          const value = then();
          if (value instanceof Uint8Array) yield value;
          yield pattern(10);
        } finally {
          closed += 1;
        }
      }
      const fails = (): never => {
        throw broken;
      };
      for (const key of ["old", "new"]) {
        await failsAs(broken, () => store.put(key, source(fails)), "the error of the source");
        await failsWith("invalid_input", () => store.put(key, source(() => undefined), { size: 200_000 }), "too few bytes");
        await failsWith("invalid_input", () => store.put(key, source(() => pattern(5)), { size: 100_012 }), "too many bytes");
        const words = ["no", "bytes"] as readonly unknown[] as readonly Uint8Array[];
        await failsWith("invalid_input", () => store.put(key, words), "text for bytes");
      }
      equal(closed, 6, "sources closed");
      equal([...(await listed(store))], ["old"], "keys");
      equal((await gather(await store.get("old"))).byteLength, 4, "bytes of the old blob");
    });

    test("hears an abort: beforehand, and while a source is parked", async (store) => {
      await store.put("x", [pattern(10)]);
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      await failsAs(reason, () => store.get("x", { signal }), "get");
      await failsAs(reason, () => store.put("y", [pattern(1)], { signal }), "put");
      await failsAs(reason, () => listed(store, "", signal), "list");
      await failsAs(reason, () => store.delete(["x"], { signal }), "delete");
      const controller = new AbortController();
      async function* parked(): AsyncGenerator<Uint8Array> {
        yield pattern(10);
        queueMicrotask(() => controller.abort(reason));
        await new Promise(() => {});
      }
      await failsAs(reason, () => store.put("y", parked(), { signal: controller.signal }), "put with a parked source");
      equal([...(await listed(store))], ["x"], "keys");
    });

    test("lets a reader leave early, and close what it never read", async (store) => {
      await store.put("x", pieces(3 * maxChunkBytes, 500_000));
      for await (const _ of await store.get("x")) break;
      const unread = await store.get("x");
      await unread.close();
      await unread.close();
      equal((await gather(unread)).byteLength, 0, "bytes after close");
    });

    test("is closed twice without harm, and refuses work afterwards", async (store) => {
      await store.put("x", [pattern(1)]);
      await store.close();
      await store.close();
      await failsWith("closed", () => store.get("x"), "get");
      await failsWith("closed", () => store.put("x", []), "put");
      await failsWith("closed", () => listed(store), "list");
      await failsWith("closed", () => store.delete(["x"]), "delete");
    });
  });
}

/** Bytes that tell where they are, so that a shift or a swap shows. */
function pattern(size: number, from = 0): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => ((from + i) * 31 + ((from + i) >> 8)) % 251);
}

function* pieces(size: number, each: number): Generator<Uint8Array> {
  for (let at = 0; at < size; at += each) yield pattern(Math.min(each, size - at), at);
}

async function gather(content: BlobContent): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk.slice());
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** Short for small contents, a sum for large ones. */
function hex(bytes: Uint8Array): string {
  const sum = bytes.reduce((sum, byte, at) => (sum * 33 + byte + at) % 4_294_967_291, 5_381);
  return `${bytes.byteLength} bytes, sum ${sum}, ${[...bytes.subarray(0, 16)].join(" ")}`;
}

async function infoOf<T>(store: BlobStore, key: string, read: (info: BlobContent["info"]) => T, range?: { start: number; end: number }): Promise<T> {
  const content = await store.get(key, range === undefined ? {} : { range });
  await content.close();
  return read(content.info);
}

async function listed(store: BlobStore, prefix?: string, signal?: AbortSignal): Promise<Set<string>> {
  const keys: string[] = [];
  const options = { ...(prefix === undefined ? {} : { prefix }), ...(signal === undefined ? {} : { signal }) };
  for await (const { key } of store.list(options)) keys.push(key);
  equal(new Set(keys).size, keys.length, "each key once");
  return new Set(keys);
}
