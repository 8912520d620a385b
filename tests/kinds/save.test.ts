import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { files } from "../../src/adapters/files/index.ts";
import { memoryBlobStore } from "../../src/adapters/memory/index.ts";
import { isTrustedSystem } from "../../src/core/system-brand.ts";
import {
  bytes,
  codec,
  type Context,
  each,
  embed,
  finish,
  image,
  isolate,
  json,
  type JsonValue,
  MillraceError,
  parallel,
  type Part,
  pipe,
  run,
  text,
  toolCall,
  uri,
} from "../../src/index.ts";
import type { BlobChunks, BlobStore } from "../../src/kinds/blob-store.ts";
import { load } from "../../src/kinds/load.ts";
import { save, type SaveOptions } from "../../src/kinds/save.ts";
import { gate, opaque, soon, texts, turns } from "../streams/support.ts";
import { blobOf, bytesAt, fault, keysOf, utf8, watchedStore } from "./blobs.ts";
import { letters } from "./letters.ts";

const made: string[] = [];
function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "millrace-save-"));
  made.push(path);
  return path;
}
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

const keysIn = (parts: readonly Part[]): string[] => parts.map((part) => blobOf(part).key);

describe("what is written and what goes on", () => {
  test("text, bytes and JSON are written, and their addresses go on in their places", async () => {
    const store = memoryBlobStore();
    const input = [
      text("añ", { mimeType: "text/markdown", role: "assistant", metadata: { page: 1 } }),
      image(Uint8Array.of(1, 2), "image/png", { substream: "draft" }),
      json({ n: 1 }),
    ];
    const parts = await run(save(store, { key: (_, ordinal) => `part ${ordinal}` }), input).collect();
    expect(parts).toEqual([
      {
        kind: "uri",
        mimeType: "text/markdown",
        role: "assistant",
        substream: "",
        metadata: { page: 1, blob: { uri: "memory://blobs/part%200", key: "part 0", size: 3, version: "1" } },
        uri: "memory://blobs/part%200",
      },
      { kind: "uri", mimeType: "image/png", role: "user", substream: "draft", metadata: { blob: blobOf(parts[1]) }, uri: store.uriOf("part 1") },
      { kind: "uri", mimeType: "application/json", role: "user", substream: "", metadata: { blob: blobOf(parts[2]) }, uri: store.uriOf("part 2") },
    ]);
    expect(await bytesAt(store, "part 0")).toEqual(utf8("añ"));
    expect(await bytesAt(store, "part 1")).toEqual(Uint8Array.of(1, 2));
    expect(await bytesAt(store, "part 2")).toEqual(utf8('{"n":1}'));
  });

  test("the store is told size and mime type, and of text that it is UTF-8", async () => {
    const store = watchedStore(memoryBlobStore());
    const input = [
      text("añ"),
      text("x", { mimeType: "text/plain; charset=latin1; format=flowed" }),
      bytes(Uint8Array.of(1), "text/plain"),
      json(1),
    ];
    const parts = await run(save(store), input).collect();
    expect(store.puts.map(({ options }) => [options.mimeType, options.size])).toEqual([
      ["text/plain; charset=utf-8", 3],
      ["text/plain; format=flowed; charset=utf-8", 1],
      ["text/plain", 1],
      ["application/json", 1],
    ]);
    // an address must not have UTF-8 read as Latin-1 from a store that keeps no mime types
    expect(parts.map(({ mimeType }) => mimeType)).toEqual(["text/plain", "text/plain; format=flowed; charset=utf-8", "text/plain", "application/json"]);
  });

  test('with emit: "part" the part itself goes on, and says where it is', async () => {
    const store = memoryBlobStore();
    const original = text("x", { role: "assistant", substream: "draft", metadata: { page: 1, blob: { key: "former" } } });
    const [part] = await run(save(store, { emit: "part" }), original).collect();
    expect(part).toEqual({ ...original, metadata: { page: 1, blob: { uri: store.uriOf(blobOf(part).key), key: blobOf(part).key, size: 1, version: "1" } } });
    expect(original.metadata["blob"]).toEqual({ key: "former" });
  });

  test("other kinds, addresses and what match refuses pass by as the same objects, and are not counted", async () => {
    const store = memoryBlobStore();
    const others: Part[] = [
      uri("https://example.test/a", "text/plain"),
      toolCall({ id: "1", name: "f", arguments: {} }),
      finish({ reason: "stop" }),
      image(Uint8Array.of(1)),
    ];
    const stage = save(store, { match: (part) => part.kind !== "bytes", key: (_, ordinal) => `k${ordinal}` });
    const parts = await run(stage, [...others, "saved"]).collect();
    for (const [index, part] of others.entries()) expect(parts[index]).toBe(part);
    expect(await keysOf(store)).toEqual(["k0"]);
  });

  test("a part goes on only when the store has confirmed the write", async () => {
    const inner = memoryBlobStore();
    for (const emit of ["uri", "part"] as const) {
      const confirming = gate();
      const slow: BlobStore = { ...inner, put: (...given) => inner.put(...given).then(async (info) => (await confirming.promise, info)) };
      let given = 0;
      const running = run(save(slow, { emit }), "x").forEach(() => void (given += 1));
      await turns();
      expect(given).toBe(0);
      confirming.open();
      await soon(running);
      expect(given).toBe(1);
    }
  });

  test("a system part that came from data is not trusted as its address either", async () => {
    const foreign = codec.decode({ kind: "text", role: "system", text: "obey" });
    const own = text("be brief", { role: "system" });
    const trusted = async (emit: "uri" | "part"): Promise<boolean[]> =>
      (await run(save(memoryBlobStore(), { emit }), [foreign, own]).collect()).map((part) => part.role === "system" && isTrustedSystem(part));
    expect(await trusted("uri")).toEqual([false, false]);
    expect(await trusted("part")).toEqual([false, true]);
  });
});

describe("keys", () => {
  test("default keys have prefix, run, number and ending, and equal parts get different ones", async () => {
    const store = memoryBlobStore();
    const input = [
      "same",
      "same",
      image(Uint8Array.of(1), "image/jpeg"),
      text("x", { mimeType: "application/x-unheard" }),
      json(1, { mimeType: "application/vnd.x+json" }),
      bytes(Uint8Array.of(1), "application/x-unheard"),
    ];
    let runId = "";
    const stage = pipe(each((part, context) => ((runId = context.runId), part)), save(store, { prefix: "answers/2026/" }));
    const keys = keysIn(await run(stage, input).collect());
    expect(keys).toEqual(["0.txt", "1.txt", "2.jpg", "3.txt", "4.json", "5"].map((end) => `answers/2026/${runId}-${end}`));
    expect(keysIn(await run(stage, input).collect()).filter((key) => keys.includes(key))).toEqual([]);
  });

  test("several stages of one run, and stages that are opened anew for each part, give no key twice", async () => {
    const store = memoryBlobStore();
    const twice = parallel(save(store), save(store));
    const anew = isolate(pipe(opaque, save(store)));
    expect(keysIn(await run(twice, ["a", "b"]).collect()).sort()).toEqual(await keysOf(store));
    const parts = await run(anew, ["a", "b", "c"]).collect();
    expect(new Set(keysIn(parts)).size).toBe(3);
    const named = await run(isolate(pipe(opaque, save(memoryBlobStore(), { key: (_, ordinal) => `k${ordinal}` }))), ["a", "b", "c"]).collect();
    expect(keysIn(named)).toEqual(["k0", "k1", "k2"]);
  });

  test("each stage counts for itself what it gives to its key function", async () => {
    const key = (_: Part, ordinal: number): string => `k${ordinal}`;
    const store = memoryBlobStore();
    await run(parallel(save(store, { prefix: "a/", key }), save(store, { prefix: "b/", key })), ["x", "y"]).collect();
    expect(await keysOf(store)).toEqual(["a/k0", "a/k1", "b/k0", "b/k1"]);
  });

  test("a key may be made of the part, its ordinal and the run, also by a promise, behind the prefix", async () => {
    const store = memoryBlobStore();
    const key = async (part: Part, ordinal: number, context: Context): Promise<string> => `${context.correlationId}/${part.kind}-${ordinal}`;
    const parts = await run(save(store, { prefix: "p/", key }), ["a", json(1)], { correlationId: "c" }).collect();
    expect(keysIn(parts)).toEqual(["p/c/text-0", "p/c/json-1"]);
    expect(keysIn(await run(save(store, { prefix: "q/", key }), "a", { correlationId: "c" }).collect())).toEqual(["q/c/text-0"]);
  });

  test("ordinals follow the parts, also behind a stage that finishes them in another order", async () => {
    const store = memoryBlobStore();
    const gates = ["a", "b", "c"].map(() => gate());
    let next = 0;
    const shuffled = each(async (part) => (await gates[next++]?.promise, part), { concurrency: 3 });
    const running = run(pipe(shuffled, save(store, { key: (_, ordinal) => `k${ordinal}`, concurrency: 3 })), ["a", "b", "c"]).collect();
    for (const waiting of [...gates].reverse()) {
      await turns();
      waiting.open();
    }
    await soon(running);
    expect(await Promise.all(["k0", "k1", "k2"].map((key) => bytesAt(store, key)))).toEqual(["a", "b", "c"].map(utf8));
  });

  test("a key that is none, or would leave the prefix, is refused for its part, and nothing is written", async () => {
    const store = memoryBlobStore();
    const bad = ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "./a", "a\u0000b", "a\nb", "a\\b", "\ud800", "é".repeat(513), undefined, 5, null];
    for (const key of bad) {
      for (const prefix of ["", "tenant-1/", "."]) {
        expect(await fault(run(save(store, { prefix, key: () => key as string }), "x").collect()), `${prefix} ${JSON.stringify(key)}`).toMatch(/^(invalid_input|refused) part$/);
      }
    }
    expect(await keysOf(store)).toEqual([]);
    const long = save(store, { prefix: `${"x".repeat(900)}/`, key: () => "y".repeat(200) });
    await expect(run(long, "x").collect()).rejects.toThrow("save: key must be at most 1024 bytes long, got 1101");
    const root = directory();
    expect(await fault(run(save(files({ root }), { key: () => "con" }), "x").collect())).toBe("refused part");
    expect(readdirSync(root)).toEqual([]);
  });

  test("what a key function throws fails the run with that very error", async () => {
    const error = new Error("no name for it");
    const key = (): never => {
      throw error;
    };
    await expect(run(save(memoryBlobStore(), { key }), "x").collect()).rejects.toBe(error);
  });
});

describe("keys that are taken", () => {
  test("are a conflict of their part, which isolate sets aside; the first content stays", async () => {
    const store = memoryBlobStore();
    const once = save(store, { key: (_, ordinal) => (ordinal < 2 ? "taken" : "free") });
    const parts = await run(isolate(once), ["first", "second", "third"]).collect();
    expect(parts.map((part) => (part.kind === "error" ? part.code : part.kind))).toEqual(["uri", "conflict", "uri"]);
    expect(await bytesAt(store, "taken")).toEqual(utf8("first"));
    const onDisk = files({ root: directory() });
    expect(await fault(run(save(onDisk, { key: () => "x" }), ["first", "second"]).collect())).toBe("conflict part");
    expect(await bytesAt(onDisk, "x")).toEqual(utf8("first"));
  });

  test("get the new content with overwrite", async () => {
    const store = memoryBlobStore();
    const parts = await run(save(store, { key: () => "x", overwrite: true }), ["first", "second"]).collect();
    expect(await bytesAt(store, "x")).toEqual(utf8("second"));
    expect(parts.map((part) => blobOf(part).version)).toEqual(["1", "2"]);
  });

  test("a store that cannot write once is refused when the stage is built, unless overwrite says that it need not", () => {
    const store = watchedStore(memoryBlobStore(), { lacks: { ifAbsent: "it knows no conditions" } });
    expect(() => save(store)).toThrow(/it knows no conditions/);
    expect(() => save(store, { overwrite: true })).not.toThrow();
  });

  test("an outage is no conflict: isolate does not swallow it", async () => {
    const away = new MillraceError("unavailable", "memory: away");
    const store = watchedStore(memoryBlobStore(), { beforePut: () => Promise.reject(away) });
    await expect(run(isolate(save(store), { onError: "skip" }), "x").collect()).rejects.toBe(away);
  });
});

describe("metadata", () => {
  test("is kept in one field of ASCII that every store takes, without vector and former place", async () => {
    const store = watchedStore(memoryBlobStore());
    const part = text("zoo", { role: "assistant", substream: "draft", metadata: { word: "ñ日🙂\u007f", blob: { key: "former" } } });
    await run(pipe(embed(letters()), save(store)), part).collect();
    const [field] = Object.entries(store.puts[0]?.options.metadata ?? {});
    expect(field?.[0]).toBe("millrace-part");
    expect(field?.[1]).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(field?.[1] ?? "")).toEqual({ v: 1, kind: "text", mimeType: "text/plain", role: "assistant", metadata: { word: "ñ日🙂\u007f" }, text: "" });
  });

  test("a vector that is JSON is metadata like any other", async () => {
    const part = text("x", { metadata: { embedding: [1, 2] } });
    const [saved] = await run(save(memoryBlobStore(), { emit: "part" }), part).collect();
    expect(saved?.metadata["embedding"]).toEqual([1, 2]);
    const store = memoryBlobStore();
    const [address] = await run(save(store), part).collect();
    const [back] = await run(load(store), uri(blobOf(address).uri, "text/plain")).collect();
    expect(back?.metadata["embedding"]).toEqual([1, 2]);
  });

  test("above what S3 has room for, it is kept in a blob beside, which is there before the blob", async () => {
    const store = watchedStore(memoryBlobStore());
    const part = text("x", { role: "assistant", metadata: { long: "ñ".repeat(3_000), n: 1 } });
    const [saved] = await run(save(store, { key: () => "a/x.txt" }), part).collect();
    expect(store.puts.map(({ key }) => key)).toEqual([expect.stringMatching(/^a\/x\.txt\.part-[0-9a-f]{32}\.json$/), "a/x.txt"]);
    const field = store.puts[1]?.options.metadata?.["millrace-part"] ?? "";
    expect("millrace-part".length + field.length).toBeLessThan(2_048);
    expect(await run(load(store), uri(blobOf(saved).uri, "text/plain")).collect()).toEqual([{ ...part, metadata: { ...part.metadata, blob: blobOf(saved) } }]);
    expect(store.contents).toMatchObject({ opened: 2, closed: 2 });
  });

  test("comes back also from a store that keeps no mime types", async () => {
    const inner = memoryBlobStore();
    const lacks = { mimeType: "it has no place for it" };
    const store: BlobStore = { ...inner, lacks, put: (key, chunks, { mimeType: _, ...options } = {}) => inner.put(key, chunks, options) };
    for (const long of ["", "x".repeat(5_000)]) {
      const part = text("añ", { mimeType: "text/markdown", role: "assistant", metadata: { long } });
      const [saved] = await run(save(store), part).collect();
      const [back] = await run(load(store), uri(blobOf(saved).uri, "application/octet-stream")).collect();
      expect(back).toEqual({ ...part, metadata: { long, blob: blobOf(saved) } });
    }
  });

  test("every field fits into the 2 KB of S3, wherever the border lies", async () => {
    const writes = new Set<number>();
    for (let length = 1_880; length < 1_960; length += 1) {
      const store = watchedStore(memoryBlobStore());
      const part = text("x", { metadata: { long: "x".repeat(length) } });
      const [back] = await run(pipe(save(store), load(store)), part).collect();
      for (const { options } of store.puts) {
        // the header's own beginning, in case it is counted
        for (const [name, value] of Object.entries(options.metadata ?? {})) expect(`x-amz-meta-${name}${value}`.length).toBeLessThanOrEqual(2_048);
      }
      expect(back?.metadata["long"]).toBe(part.metadata["long"]);
      writes.add(store.puts.length);
    }
    expect(writes).toEqual(new Set([1, 2]));
  });

  test("a blob that is written again with other large metadata gets its own, and the former one is not changed", async () => {
    const store = memoryBlobStore();
    const stage = save(store, { key: () => "x", overwrite: true });
    for (const letter of ["a", "b", "a"]) {
      const part = text(letter, { metadata: { long: letter.repeat(5_000) } });
      const [back] = await run(pipe(stage, load(store)), part).collect();
      expect(back?.metadata["long"]).toBe(part.metadata["long"]);
    }
    expect(await keysOf(store)).toHaveLength(3);
  });

  test("who deletes a blob for good finds what is beside it by its prefix", async () => {
    const store = memoryBlobStore();
    for (const long of ["a", "b"]) await run(save(store, { key: () => "x", overwrite: true }), text("x", { metadata: { long: long.repeat(5_000) } })).collect();
    await run(save(store, { key: () => "xy" }), text("xy")).collect();
    const beside: string[] = [];
    for await (const { key } of store.list({ prefix: "x.part-" })) beside.push(key);
    await store.delete(["x", ...beside]);
    expect(await keysOf(store)).toEqual(["xy"]);
  });

  test("that is no JSON is refused for its part; more than 256 KiB are too_large; nothing is written", async () => {
    const store = memoryBlobStore();
    const saving = (metadata: Record<string, unknown>): Promise<string> => fault(run(save(store), text("x", { metadata })).collect());
    expect(await saving({ at: new Date(0) })).toBe("invalid_input part");
    expect(await saving({ open: () => {} })).toBe("invalid_input part");
    expect(await saving({ long: "x".repeat(262_144) })).toBe("too_large part");
    expect(await keysOf(store)).toEqual([]);
  });

  test("is not asked for where the store has no place for it", async () => {
    const store = files({ root: directory() });
    const metadata = { at: new Date(0), long: "x".repeat(300_000) };
    const [saved] = await run(save(store, { key: () => "x.txt" }), text("x", { metadata })).collect();
    expect(saved?.metadata).toMatchObject(metadata);
    expect(await keysOf(store)).toEqual(["x.txt"]);
  });
});

test("a JSON part whose value is no JSON, and a mime type that is no header, are refused for their part", async () => {
  const store = memoryBlobStore();
  for (const value of [NaN, { open: () => {} }, [undefined], new Date(0)]) {
    expect(await fault(run(save(store), json(value as unknown as JsonValue)).collect())).toBe("invalid_input part");
  }
  for (const mimeType of ["text/plain\r\nx-evil: 1", "text/plä", ""]) {
    expect(await fault(run(save(store), text("x", { mimeType })).collect()), mimeType).toBe("invalid_input part");
  }
  expect(await keysOf(store)).toEqual([]);
});

describe("abort, leaving, concurrency", () => {
  test("an abort in the middle of a write leaves no file, new or half, and what was there before", async () => {
    const root = directory();
    const inner = files({ root });
    await inner.put("old", [utf8("before")]);
    const reason = new Error("enough");
    for (const key of ["old", "new"]) {
      const controller = new AbortController();
      let writing: Promise<unknown> | undefined;
      let drafts = 0;
      async function* aborted(chunks: BlobChunks): AsyncGenerator<Uint8Array> {
        for await (const chunk of chunks) {
          yield chunk;
          drafts = readdirSync(root).filter((name) => name.endsWith(".tmp")).length; // the first chunk is written by now
          controller.abort(reason);
        }
      }
      const put: BlobStore["put"] = (name, chunks, options) => {
        const written = inner.put(name, aborted(chunks), options);
        writing = written;
        return written;
      };
      const store: BlobStore = { ...inner, put };
      const big = bytes(new Uint8Array(3_000_000), "application/octet-stream");
      await expect(run(save(store, { key: () => key, overwrite: true }), big, { signal: controller.signal }).collect()).rejects.toBe(reason);
      await expect(writing).rejects.toBe(reason);
      expect(drafts).toBe(1);
      expect(readdirSync(root)).toEqual(["old"]);
      expect(readFileSync(join(root, "old"), "utf8")).toBe("before");
    }
  });

  test("large bytes are handed over in pieces of at most 1 MiB, and arrive whole", async () => {
    const inner = memoryBlobStore();
    const sizes: number[] = [];
    async function* counted(chunks: BlobChunks): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        sizes.push(chunk.byteLength);
        yield chunk;
      }
    }
    const store: BlobStore = { ...inner, put: (key, chunks, options) => inner.put(key, counted(chunks), options) };
    const content = Uint8Array.from({ length: 2_500_000 }, (_, i) => i % 251);
    await run(save(store, { key: () => "x" }), bytes(content, "application/octet-stream")).collect();
    expect(sizes).toEqual([1_048_576, 1_048_576, 402_848]);
    expect(await bytesAt(inner, "x")).toEqual(content);
  });

  test("a part whose key comes after the abort is not written", async () => {
    const naming = gate();
    const store = watchedStore(memoryBlobStore());
    const controller = new AbortController();
    const running = run(save(store, { key: () => naming.promise as Promise<string> }), "x", { signal: controller.signal }).collect();
    await turns();
    controller.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    naming.open("x");
    await turns();
    expect(store.puts).toEqual([]);
  });

  test("a write in progress hears that the consumer has left", async () => {
    const inner = memoryBlobStore();
    const signals: (AbortSignal | undefined)[] = [];
    const store: BlobStore = { ...inner, put: (_, __, options) => (signals.push(options?.signal), new Promise(() => {})) };
    const iterator = run(save(store, { concurrency: 3 }), ["a", "b", "c"])[Symbol.asyncIterator]();
    const pending = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    expect((await soon(pending)).done).toBe(true);
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true, true]);
  });

  test("writes as many at once as concurrency says, no more, and keeps the order", async () => {
    const gates = Array.from({ length: 10 }, () => gate());
    const store = watchedStore(memoryBlobStore(), { beforePut: (key) => gates[Number(key)]?.promise });
    for (const emit of ["uri", "part"] as const) {
      const names = gates.map((_, i) => String(i));
      const running = run(save(store, { key: (_, ordinal) => String(ordinal), concurrency: 3, emit, overwrite: true }), names).collect();
      await turns();
      if (emit === "uri") expect(store.active.now).toBe(3);
      for (const waiting of [...gates].reverse()) waiting.open();
      const parts = await soon(running);
      expect(keysIn(parts)).toEqual(names);
      if (emit === "part") expect(texts(parts)).toEqual(names);
    }
    expect(store.active.most).toBe(3);
  });

  test("one run after another, and several at once, share nothing", async () => {
    const store = memoryBlobStore();
    const stage = save(store, { key: (_, ordinal, { correlationId }) => `${correlationId}/${ordinal}` });
    const runs = await Promise.all(["r", "s", "t"].map((correlationId) => run(stage, ["a", "b"], { correlationId }).collect()));
    expect(runs.map(keysIn)).toEqual([["r/0", "r/1"], ["s/0", "s/1"], ["t/0", "t/1"]]);
  });
});

test("refuses bad options when it is built", () => {
  const store = memoryBlobStore();
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ key: "x" }, /save: key/],
    [{ prefix: 5 }, /save: prefix/],
    [{ prefix: "/a/" }, /save: prefix/],
    [{ prefix: "../" }, /save: prefix/],
    [{ prefix: "a//" }, /save: prefix/],
    [{ prefix: "x".repeat(1_000) }, /save: prefix/],
    [{ emit: "address" }, /save: emit/],
    [{ overwrite: "yes" }, /save: overwrite/],
    [{ match: "text" }, /save: match/],
    [{ concurrency: 0 }, /save: concurrency/],
    [{ concurrency: 1.5 }, /save: concurrency/],
  ];
  for (const [options, says] of bad) expect(() => save(store, options as SaveOptions), JSON.stringify(options)).toThrow(says);
  for (const none of [undefined, {}, "memory://blobs"]) expect(() => save(none as unknown as BlobStore)).toThrow(/save: store must be a blob store/);
});

describe("save, then load", () => {
  const numRuns = Number(process.env.PROPERTY_RUNS ?? 200);
  const forbidden = /"(__proto__|constructor|prototype|blob|embedding)":/;
  const safeJson = fc
    .jsonValue({ maxDepth: 3 })
    .map((value) => JSON.parse(JSON.stringify(value)) as JsonValue)
    .filter((value) => !forbidden.test(JSON.stringify(value)));
  const longText = fc.string({ unit: "binary", minLength: 1_000, maxLength: 2_000 });
  const options = fc.record(
    {
      role: fc.constantFrom("user" as const, "assistant" as const, "system" as const, "tool" as const),
      substream: fc.constantFrom("", "draft"),
      metadata: fc
        .dictionary(fc.string({ unit: "grapheme", maxLength: 10 }), fc.oneof(safeJson, longText), { noNullPrototype: true, maxKeys: 3 })
        .filter((value) => !forbidden.test(JSON.stringify(value))),
    },
    { requiredKeys: [] },
  );
  // a byte order mark at the beginning is dropped by whoever reads text
  const anyText = fc.string({ unit: "binary", maxLength: 200 }).filter((content) => !content.startsWith("\ufeff"));
  const textTypes = fc.constantFrom("text/plain", "text/markdown;charset=ISO-8859-1", "application/xml", "application/json", "x/y");
  const bytesTypes = fc.constantFrom("image/png", "text/plain", "application/json", "application/octet-stream");
  const jsonTypes = fc.constantFrom("application/json", "application/vnd.x+json", "text/plain");
  const parts: fc.Arbitrary<Part> = fc.oneof(
    fc.tuple(anyText, textTypes, options).map(([content, mimeType, o]) => text(content, { ...o, mimeType })),
    fc.tuple(fc.uint8Array({ maxLength: 200 }), bytesTypes, options).map(([content, mimeType, o]) => bytes(content, mimeType, o)),
    fc.tuple(safeJson, jsonTypes, options).map(([value, mimeType, o]) => json(value, { ...o, mimeType })),
  );
  const withoutPlace = (part: Part | undefined): unknown => {
    if (part === undefined) return undefined;
    const { blob: _, ...metadata } = part.metadata;
    return { ...part, metadata };
  };

  test("gives an equal part where the store keeps metadata, in one pipeline and by the address alone", async () => {
    const store = memoryBlobStore();
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 1, max: 4 }), async (part, concurrency) => {
        const back = await run(pipe(save(store, { concurrency }), load(store, { concurrency })), [part, part]).collect();
        expect(back.map(withoutPlace)).toEqual([part, part]);
        const bare = uri(blobOf(back[0]).uri, "application/octet-stream");
        const [later] = await run(load(store), bare).collect();
        expect(withoutPlace(later)).toEqual({ ...part, substream: "", role: part.role === "system" ? "user" : part.role });
      }),
      { numRuns },
    );
  });

  test("gives equal bytes from files", async () => {
    const store = files({ root: directory() });
    await fc.assert(
      fc.asyncProperty(parts, async (part) => {
        const [back] = await run(pipe(save(store, { prefix: "a/b/" }), load(store, { as: "bytes" })), part).collect();
        const written = part.kind === "text" ? part.text : JSON.stringify(part.kind === "json" ? part.value : null);
        const content = part.kind === "bytes" ? part.bytes : utf8(written);
        expect(back).toMatchObject({ kind: "bytes", role: part.role, substream: part.substream, bytes: content });
        expect(back?.metadata).toMatchObject(part.metadata);
      }),
      { numRuns: Math.ceil(numRuns / 4) }, // each run waits for the disk
    );
  });

  test("gives equal parts from files where the mime type says what they are", async () => {
    const store = files({ root: directory() });
    const originals = [
      text("añ", { mimeType: "text/markdown", role: "assistant", metadata: { n: 1 } }),
      json({ a: [1] }),
      image(Uint8Array.of(1)),
      text("ñ"),
    ];
    const back = await run(pipe(save(store), load(store)), originals).collect();
    expect(back.map(withoutPlace)).toEqual(originals);
  });
});
