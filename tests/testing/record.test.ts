import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, codec, each, finish, isMillraceError, json, type JsonValue, MillraceError, type Part, pipe, type Processor, run, text, toolCall } from "../../src/index.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { mockModel } from "../../src/testing/mock-model.ts";
import { record, replay } from "../../src/testing/record.ts";
import { recording } from "../../src/testing/recording.ts";
import { opaque, soon, texts, turns } from "../streams/support.ts";

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "nothing failed",
    (error: unknown) => error,
  );

describe("record and replay, part by part", () => {
  test("a replay gives equal parts, new ones, for any run that ended well", async () => {
    const content = fc.oneof(
      fc.tuple(fc.string({ unit: "binary" }), fc.constantFrom("user" as const, "assistant" as const), fc.constantFrom("", "draft")).map(([said, role, substream]) => text(said, { role, substream })),
      fc.uint8Array({ maxLength: 40 }).map((data) => bytes(data, "image/png")),
      fc.jsonValue({ maxDepth: 3 }).filter((value) => !/"(__proto__|constructor|prototype)"/.test(JSON.stringify(value))).map((value) => json(value as JsonValue)),
      fc.constantFrom<Part>(finish({ reason: "stop", usage: { inputTokens: 1 } }), toolCall({ id: "1", name: "t", arguments: {} })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(content, { maxLength: 5 }), fc.array(content, { maxLength: 5 }), async (input, output) => {
        const processor: Processor = async function* (parts) {
          for await (const _ of parts);
          yield* output;
        };
        const notes = recording();
        const recorded = await run(record(processor, { to: notes }), input).collect();
        expect(recorded).toEqual(output); // the very parts pass
        const replayed = await run(replay(notes.toString()), input).collect();
        expect(JSON.stringify(replayed.map(codec.encode))).toBe(JSON.stringify(output.map(codec.encode)));
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });

  test("the file is lines of JSON that people can read, the first of which says what it is", async () => {
    const clock = fakeClock();
    const notes = recording();
    const model = mockModel([["Hel", { waitMs: 20.126 }, "lo"]], { clock });
    const running = run(record(model, { to: notes, clock }), "Hi").collect();
    await clock.advance(100);
    await running;
    expect(notes.toString().split("\n")).toEqual([
      '{"millrace":"recording","version":1}',
      '{"call":1,"in":{"v":1,"kind":"text","mimeType":"text/plain","role":"user","text":"Hi"},"atMs":0}',
      '{"call":1,"out":{"v":1,"kind":"text","mimeType":"text/plain","role":"assistant","text":"Hel"},"atMs":0}',
      '{"call":1,"out":{"v":1,"kind":"text","mimeType":"text/plain","role":"assistant","text":"lo"},"atMs":20.13}',
      expect.stringContaining('{"call":1,"out":{"v":1,"kind":"finish"'),
      '{"call":1,"end":"complete","atMs":20.13}',
      "",
    ]);
  });

  test("an error in mid-stream comes again after the same parts, with its code, scope and all it said", async () => {
    const notes = recording();
    const cause = new MillraceError("rate_limited", "slow down", { status: 429, retryAfterMs: 1_500, service: "openai" });
    const model = mockModel([["half ", { error: cause }], [{ error: new MillraceError("timeout", "late", { phase: "idle", scope: "dependency", retryable: false }) }]]);
    await failure(run(record(model, { to: notes }), "Hi").collect());
    await failure(run(record(model, { to: notes }), "Ho").collect());
    const again = replay(notes.toString());
    const seen: string[] = [];
    const error = await failure(run(again, "Hi").forEach((part) => seen.push(...texts([part]))));
    expect(seen).toEqual(["half "]);
    expect(error).toMatchObject({ code: "interrupted", scope: "delivery", retryable: false, service: "mock-model", partial: { parts: 1, text: "half " } });
    expect((error as MillraceError).cause).toMatchObject({ code: "rate_limited", status: 429, retryAfterMs: 1_500, scope: "dependency", retryable: true, service: "openai", message: "slow down" });
    expect(await failure(run(again, "Ho").collect())).toMatchObject({ code: "timeout", phase: "idle", scope: "dependency", retryable: false });
  });

  test("an error that is not ours keeps its name and message, and a key in it is not written", async () => {
    const notes = recording();
    const broken = each(() => {
      throw new TypeError("bad key sk-canary-0123456789abcdef");
    });
    await failure(run(record(broken, { to: notes }), "Hi").collect());
    expect(notes.toString()).not.toContain("canary");
    const error = await failure(run(replay(notes), "Hi").collect());
    expect(error).toMatchObject({ name: "TypeError", message: "bad key …" });
    expect(isMillraceError(error)).toBe(false);
  });

  test("it keeps the pace of then, slower or faster, or none", async () => {
    const clock = fakeClock();
    const notes = recording();
    const running = run(record(mockModel(["one two"], { clock, deltaMs: 100 }), { to: notes, clock }), "Hi").collect();
    await clock.advance(1_000);
    await running;
    for (const [speed, times] of [[1, [100, 200, 200]], [2, [50, 100, 100]], [0.5, [200, 400, 400]], [Infinity, [0, 0, 0]]] as const) {
      const startMs = clock.now();
      const at: number[] = [];
      const replaying = run(replay(notes, { speed, clock }), "Hi").forEach(() => at.push(clock.now() - startMs));
      // the input is hashed on another thread, which takes as long as it takes
      while (speed !== Infinity && clock.pending === 0) await turns();
      if (speed !== Infinity) await clock.advance(1_000);
      await replaying;
      expect([speed, at]).toEqual([speed, times]);
    }
    const reason = new Error("enough");
    const controller = new AbortController();
    const waiting = failure(run(replay(notes, { speed: 1, clock }), "Hi", { signal: controller.signal }).collect());
    while (clock.pending === 0) await turns();
    controller.abort(reason);
    expect([await soon(waiting), clock.pending]).toEqual([reason, 0]);
  });

  test("an input that was never recorded is a clear error, which no retry would repeat", async () => {
    const notes = recording();
    await run(record(mockModel(["a", "b"]), { to: notes }), "Hi").collect();
    const again = replay(notes);
    const error = await failure(run(again, [text("What did we decide? ".repeat(10)), json(1)]).collect());
    expect(error).toMatchObject({ code: "missing_config", retryable: false });
    expect((error as Error).message).toMatch(/^replay: missing recording for "What did we decide\? .{60,70}…": 1 call is recorded$/);
    expect(await failure(run(again, [text("Hi", { role: "assistant" })]).collect())).toMatchObject({ code: "missing_config" });
    expect(await run(again, [text("Hi", { metadata: { at: 1 } })]).text()).toBe("a");
  });

  test("calls with one input are given in their order, the last again; those of others do not count", async () => {
    const notes = recording();
    const recorder = record(mockModel(({ turn }) => `answer ${turn}`), { to: notes });
    for (const input of ["x", "y", "x"]) await run(recorder, input).collect();
    const again = replay(notes);
    const answers: string[] = [];
    for (const input of ["x", "x", "y", "x"]) answers.push(await run(again, input).text());
    expect(answers).toEqual(["answer 1", "answer 3", "answer 2", "answer 3"]);
  });

  test("calls at once are told apart, and a recording goes on where it was left", async () => {
    const notes = recording();
    const recorder = record(mockModel(({ text: asked }) => [asked, { waitMs: 0 }, "!"]), { to: notes });
    await Promise.all(["a", "b", "c"].map((input) => run(recorder, input).collect()));
    const later = recording(notes.toString());
    await run(record(mockModel(["d!"]), { to: later }), "d").collect();
    const again = replay(later);
    for (const input of ["a", "b", "c", "d"]) expect(await run(again, input).text()).toBe(`${input}!`);
  });

  test("a run that was left, and a file that is cut, never replay as complete", async () => {
    const notes = recording();
    for await (const _ of run(record(mockModel(["one two three"]), { to: notes }), "Hi")) break;
    const seen: string[] = [];
    const collect = (processor: Processor): Promise<unknown> => failure(run(processor, "Hi").forEach((part) => seen.push(...texts([part]))));
    expect(await collect(replay(notes))).toMatchObject({ code: "missing_config", message: "replay: missing recording for what comes after 1 parts: it was left there" });
    const cut = notes.toString().split("\n").slice(0, -2).join("\n");
    expect(await collect(replay(cut))).toMatchObject({ code: "missing_config", message: "replay: missing recording for what comes after 1 parts: it ends before the call does" });
    expect(seen).toEqual(["one ", "one "]);
    const controller = new AbortController();
    const aborted = recording();
    const running = failure(run(record(mockModel([["a", { stall: true }]]), { to: aborted }), "Hi", { signal: controller.signal }).collect());
    await turns();
    controller.abort(new Error("enough"));
    await running;
    await turns();
    expect(aborted.lines.at(-1)).toMatchObject({ end: "left" });
  });

  test("a streaming processor is recorded while it streams, and closes its input once", async () => {
    const notes = recording();
    expect(await run(pipe(record(opaque, { to: notes })), ["a", "b"]).text()).toBe("ab");
    expect(notes.lines.map((line) => ["in", "out", "end"].find((key) => key in line))).toEqual(["in", "out", "in", "out", "end"]);
  });

  test.each<[string, string, string]>([
    ["nothing", "", "the first line does not say"],
    ["another file", '{"name":"x"}', "the first line does not say"],
    ["another version", '{"millrace":"recording","version":2}', "knows version 1, got number 2"],
    ["a broken line", '{"millrace":"recording","version":1}\n{"call":1,', "line 2 is no JSON"],
    ["a line that is no object", '{"millrace":"recording","version":1}\n\n[1]', "line 3 must be an object"],
  ])("%s is refused", (_, content, message) => {
    expect(() => recording(content)).toThrow(message);
  });

  test("options are checked", () => {
    expect(() => record(opaque, {} as never)).toThrow(/record: to must be a recording/);
    expect(() => replay(recording(), { speed: 0 })).toThrow(/replay: speed/);
  });
});
