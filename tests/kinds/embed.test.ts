import { describe, expect, it, test } from "vitest";
import { bytes, run, text } from "../../src/index.ts";
import { embed, embeddingOf } from "../../src/kinds/embed.ts";
import type { Embedder } from "../../src/kinds/embedder.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { embedderContract } from "../../src/testing/contracts/embedder.ts";
import { gate, numbers, soon, texts, turns } from "../streams/support.ts";
import { letters } from "./letters.ts";

embedderContract({ describe, it }, { name: "letters", dimensions: 28, open: () => letters(), meaningless: "it counts letters" });

/** An embedder that answers what it is told to. */
const answering = (answer: (texts: readonly string[]) => unknown, dimensions?: number): Embedder => ({
  dimensions,
  embed: async (asked) => answer(asked) as Float32Array[],
  close: async () => {},
  async [Symbol.asyncDispose]() {},
});

test("gives each text its vector and keeps order, other parts and metadata", async () => {
  const image = bytes(Uint8Array.of(1), "image/png");
  const parts = await run(embed(letters()), [text("aab", { metadata: { page: 1 } }), image, text(" \n"), text("b")]).collect();
  expect(texts(parts)).toEqual(["aab", "bytes", " \n", "b"]);
  expect(parts[1]).toBe(image);
  expect(parts[2]?.metadata).toEqual({});
  expect(parts[0]?.metadata.page).toBe(1);
  expect([...(embeddingOf(parts[0] ?? image) ?? [])].slice(0, 2)).toEqual([2, 1]);
  expect([...(embeddingOf(parts[3] ?? image) ?? [])].slice(0, 2)).toEqual([0, 1]);
});

test("fills its calls", async () => {
  const embedder = letters();
  await run(embed(embedder, { batch: 4 }), numbers(10)).collect();
  expect(embedder.calls).toEqual([["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]);
});

test("has no more calls in progress than concurrency says, and that many if there is work", async () => {
  const doors = Array.from({ length: 5 }, () => gate());
  let opened = 0;
  const embedder = letters(async () => void (await doors[opened++]?.promise));
  const result = run(embed(embedder, { batch: 2, concurrency: 2 }), numbers(10)).collect();
  await turns(10);
  expect([embedder.active.now, embedder.calls.length]).toEqual([2, 2]);
  doors[1]?.open(); // the second first: the output waits for the first
  for (const door of doors) {
    door.open();
    await turns(3);
  }
  expect(texts(await soon(result))).toEqual(numbers(10));
  expect(embedder.active.most).toBe(2);
});

test("sends an incomplete call after maxWaitMs, and leaves no timer", async () => {
  const clock = fakeClock();
  const embedder = letters();
  const door = gate();
  async function* source(): AsyncGenerator<string> {
    yield "a";
    yield "b";
    await door.promise;
  }
  const iterator = run(embed(embedder, { batch: 10, maxWaitMs: 25, clock }), source())[Symbol.asyncIterator]();
  const first = iterator.next();
  await clock.advance(24);
  expect(embedder.calls).toEqual([]);
  await clock.advance(1);
  expect((await soon(first)).value).toMatchObject({ text: "a" });
  expect((await soon(iterator.next())).value).toMatchObject({ text: "b" });
  expect(embedder.calls).toEqual([["a", "b"]]);
  door.open();
  expect((await soon(iterator.next())).done).toBe(true);
  expect(clock.pending).toBe(0);
});

test("leaving aborts the call in progress and leaves no timer", async () => {
  const clock = fakeClock();
  const signals: (AbortSignal | undefined)[] = [];
  const embedder = letters(async (_, signal) => {
    signals.push(signal);
    if (signals.length > 1) await new Promise(() => {});
  });
  for await (const _ of run(embed(embedder, { batch: 1, concurrency: 2, clock }), numbers(5))) break;
  expect(signals.length).toBeGreaterThan(1);
  expect(signals.every((signal) => signal?.aborted)).toBe(true);

  const waiting = run(embed(letters(), { batch: 9, clock }), numbers(2))[Symbol.asyncIterator]();
  const read = waiting.next();
  await turns();
  expect(clock.pending).toBe(1);
  await waiting.return?.();
  await read.catch(() => {});
  expect(clock.pending).toBe(0);
});

test("rejects with the very reason of an abort while a call is in progress", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const embedder = letters(async () => {
    controller.abort(reason);
    await new Promise(() => {});
  });
  await expect(soon(run(embed(embedder, { batch: 1 }), ["a"], { signal: controller.signal }).collect())).rejects.toBe(reason);
});

test("hands on what came before a call that fails", async () => {
  const embedder = letters((asked) => {
    if (asked.includes("2")) throw new TypeError("broken");
  });
  const seen: string[] = [];
  const failing = (async () => {
    for await (const part of run(embed(embedder, { batch: 2 }), numbers(6))) seen.push(...texts([part]));
  })();
  await expect(failing).rejects.toThrow("broken");
  expect(seen).toEqual(["0", "1"]);
});

test.each([
  ["fewer vectors than texts", () => [Float32Array.of(1)], /2 texts/],
  ["more vectors than texts", () => [1, 2, 3].map(() => Float32Array.of(1)), /3 vectors for 2 texts/],
  ["no array", () => "vectors", /array of vectors, got "vectors"/],
  ["a plain array as vector", () => [[1], [1]], /vector 0 must be a Float32Array/],
  ["vectors of different lengths", () => [Float32Array.of(1), Float32Array.of(1, 2)], /vector 1 has 2 dimensions/],
  ["empty vectors", () => [Float32Array.of(), Float32Array.of()], /vector 0 has 0 dimensions/],
  ["NaN", () => [Float32Array.of(1), Float32Array.of(NaN)], /vector 1 holds a number that is not finite/],
])("an answer of %s is bad_response", async (_, answer, message) => {
  const error: unknown = await run(embed(answering(answer), { batch: 2 }), ["a", "b"]).collect().catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: "bad_response", message: expect.stringMatching(message) });
});

test("vectors of another length than declared are bad_response", async () => {
  const embedder = answering((asked) => asked.map(() => Float32Array.of(1, 2)), 3);
  await expect(run(embed(embedder), ["a"]).collect()).rejects.toMatchObject({ code: "bad_response" });
});

test("refuses bad options when it is built", () => {
  for (const options of [{ batch: 0 }, { batch: 1.5 }, { concurrency: 0 }, { maxWaitMs: -1 }, { maxWaitMs: NaN }]) {
    expect(() => embed(letters(), options)).toThrow(/^embed: (batch|concurrency|maxWaitMs) must be/);
  }
  expect(() => embed({} as never)).toThrow(/embedder must be an embedder/);
});
