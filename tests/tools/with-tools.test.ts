import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  each,
  image,
  isMillraceError,
  isText,
  json,
  MillraceError,
  type Part,
  pipe,
  type Processor,
  retry,
  run,
  status,
  text,
  tool,
  type ToolEvent,
  type ToolSource,
  withTools,
} from "../../src/index.ts";
import { asks } from "../../src/kit.ts";
import { fakeClock, type MockEvent, mockModel, watchedSource } from "../../src/testing/index.ts";
import { gate, soon, turns } from "../streams/support.ts";

const call = (name: string, args: Record<string, string | number> = {}, id?: string): MockEvent => ({ toolCall: { name, arguments: args, ...(id === undefined ? {} : { id }) } });
const sync = (name: string, value: string) => tool({ name, run: () => value });
const resultsIn = (parts: readonly Part[]): unknown[] => parts.flatMap((part) => (part.kind === "toolResult" ? [[part.name, part.result, part.isError]] : []));
const failing = async (stream: PromiseLike<unknown>): Promise<MillraceError> => {
  const error: unknown = await stream.then(() => undefined, (reason: unknown) => reason);
  if (!isMillraceError(error)) throw new Error(`no error of millrace: ${String(error)}`);
  return error;
};

describe("the loop", () => {
  test("C90: calls of a turn run at once, and one further call gets all results in the order of the calls", async () => {
    const slow = gate();
    const started: string[] = [];
    const first = tool({ name: "first", run: async () => (started.push("first"), await slow.promise, "1") });
    const second = tool({ name: "second", run: () => (started.push("second"), "2") });
    const model = mockModel([["Let me see. ", call("first"), call("second")], "Done."]);
    const parts: Part[] = [];
    for await (const part of run(withTools(model, [first, second]), "go")) {
      parts.push(part);
      if (part.kind === "toolResult") slow.open();
    }
    expect(started).toEqual(["first", "second"]);
    expect(resultsIn(parts)).toEqual([["second", "2", false], ["first", "1", false]]);
    expect(model.calls).toHaveLength(2);
    expect(model.calls[1]?.input.map((part) => [part.kind, part.kind === "toolCall" || part.kind === "toolResult" ? part.name : ""])).toEqual([
      ["text", ""],
      ["text", ""],
      ["toolCall", "first"],
      ["toolCall", "second"],
      ["finish", ""],
      ["toolResult", "first"],
      ["toolResult", "second"],
    ]);
  });

  test("C91: without a call the model's parts come as they are, and it is asked once", async () => {
    const said = [{ reasoning: "hm" }, "a ", status("s"), "b"];
    const [alone, looped] = [mockModel([said]), mockModel([said])];
    const bare = await run(alone, "q").collect();
    expect(await run(withTools(looped, [sync("t", "x")]), "q").collect()).toEqual(bare);
    expect(looped.calls).toHaveLength(1);
  });

  test("every turn is told of the tools, also through wrappers; a choice is for the first alone", async () => {
    const model = mockModel([[call("t")], [call("t")], "end"]);
    await run(withTools(pipe(retry(model)), [sync("t", "x")], { toolChoice: "required" }), "q").collect();
    expect(model.calls.map(({ asked }) => [asked.tools?.map(({ name }) => name), asked.toolChoice])).toEqual([[["t"], "required"], [["t"], undefined], [["t"], undefined]]);
  });

  test("every turn is told of the JSON that is asked for further out, no turn of what else is", async () => {
    const model = mockModel([[call("t")], "{}"]);
    const output = { name: "answer", schema: {} };
    await run(asks(withTools(model, [sync("t", "x")]), { tools: [{ name: "u", parameters: {} }], toolChoice: { name: "u" }, output }), "q").collect();
    expect(model.calls.map(({ asked }) => [asked.tools?.map(({ name }) => name), asked.toolChoice, asked.output])).toEqual([[["t"], undefined, output], [["t"], undefined, output]]);
  });

  test("models inside a tool are not told of the tools further out", async () => {
    const inner = mockModel(["inner"]);
    const model = mockModel([[call("ask")], "outer"]);
    await run(withTools(model, [tool({ name: "ask", run: pipe(inner) })]), "q").collect();
    expect(inner.calls[0]?.asked).toEqual({});
  });

  test("results come as they are there, while others still run", async () => {
    const never = gate();
    const model = mockModel([[call("slow"), call("quick")], "end"]);
    const slow = tool({ name: "slow", run: () => never.promise.then(() => "late") });
    const seen: string[] = [];
    for await (const part of run(withTools(model, [slow, sync("quick", "now")]), "q")) {
      seen.push(part.kind === "toolResult" ? part.name : part.kind);
      if (part.kind === "toolResult") never.open();
    }
    expect(seen).toEqual(["toolCall", "toolCall", "finish", "quick", "slow", "text", "finish"]);
  });

  test("no more than `concurrency` calls run at the same time", async () => {
    let running = 0;
    let most = 0;
    const busy = tool({ name: "busy", run: async () => ((most = Math.max(most, (running += 1))), await turns(5), (running -= 1), "ok") });
    const model = mockModel([Array.from({ length: 9 }, () => call("busy")), "end"]);
    await run(withTools(model, [busy], { concurrency: 3 }), "q").collect();
    expect(most).toBe(3);
  });

  test("C94: a model that calls tools without end fails the run after `maxTurns` rounds, whose results were delivered", async () => {
    let runs = 0;
    const again = tool({ name: "again", run: () => String((runs += 1)) });
    const model = mockModel(() => [call("again")]);
    const parts: Part[] = [];
    const error = await failing(run(withTools(model, [again], { maxTurns: 2 }), "q").forEach((part) => void parts.push(part)));
    expect([error.code, error.message]).toEqual(["tool_failed", "withTools: the model still calls tools (again) after 2 turns"]);
    expect([runs, model.calls.length]).toEqual([2, 3]);
    expect(resultsIn(parts)).toEqual([["again", "1", false], ["again", "2", false]]);
  });

  test("C93: two calls with one id are refused, and none of them is run", async () => {
    let runs = 0;
    const t = tool({ name: "t", run: () => String((runs += 1)) });
    const model = mockModel([[call("t", {}, "same"), call("t", {}, "same")]]);
    expect((await failing(run(withTools(model, [t]), "q").collect())).code).toBe("bad_response");
    expect(runs).toBe(0);
  });

  test("S52: calls of a turn that was cut or withheld are not run", async () => {
    let runs = 0;
    const t = tool({ name: "t", run: () => String((runs += 1)) });
    const cut = mockModel([[call("t"), { finish: "length" }]]);
    expect((await failing(run(withTools(cut, [t]), "q").collect())).code).toBe("truncated");
    const withheld = mockModel([[call("t"), { finish: "refusal" }]]);
    expect((await run(withTools(withheld, [t]), "q").collect()).at(-1)).toMatchObject({ kind: "finish", reason: "refusal" });
    const broken = mockModel([[call("t"), { truncate: true }]]);
    expect((await failing(run(withTools(broken, [t]), "q").collect())).code).toBe("interrupted");
    expect([runs, withheld.calls.length]).toEqual([0, 1]);
  });

  test("calls that the model's own wrappers have answered are left alone", async () => {
    const model = mockModel([[call("inner")], "end"]);
    const inner = withTools(model, [sync("inner", "in")]);
    const parts = await run(withTools(inner, [sync("outer", "out")]), "q").collect();
    expect(resultsIn(parts)).toEqual([["inner", "in", false]]);
    expect(model.calls).toHaveLength(2);
  });

  test("nothing is pulled or opened before the first pull, and a run without parts asks nothing", async () => {
    const source = watchedSource(["a"]);
    const model = mockModel(["x"]);
    const stream = run(withTools(model, []), source);
    await turns(3);
    expect([source.pulls, model.calls.length]).toEqual([0, 0]);
    await stream.collect();
    expect(await run(withTools(mockModel([]), []), []).collect()).toEqual([]);
  });
});

describe("a tool's trouble", () => {
  const oneCall = async (t: ReturnType<typeof tool>, args: Record<string, string | number> = {}, onEvent?: (event: ToolEvent) => void): Promise<unknown> => {
    const model = mockModel([[call(t.name, args)], "end"]);
    const parts = await run(withTools(model, [t], onEvent === undefined ? {} : { onEvent }), "q").collect();
    expect(model.calls).toHaveLength(2);
    return resultsIn(parts)[0];
  };

  test("S50: what a tool throws is an error result, of which the model reads no word but a tool's own", async () => {
    const events: unknown[] = [];
    const secret = new Error("password=hunter2");
    expect(await oneCall(tool({ name: "t", run: () => { throw secret; } }), {}, ({ error }) => events.push(error))).toEqual(["t", "the tool failed", true]);
    expect(events).toEqual([secret]);
    const said = tool({ name: "t", run: async () => { throw new MillraceError("tool_failed", "no such city ".repeat(40)); } });
    expect(await oneCall(said)).toEqual(["t", "no such city ".repeat(40).slice(0, 300), true]);
    expect(await oneCall(tool({ name: "t", run: () => { throw secret; } }), {}, () => { throw new Error("the listener"); })).toEqual(["t", "the tool failed", true]);
  });

  test("C92: a tool that never ends is an error result when its time is up, its signal aborts, and others are not touched", async () => {
    const clock = fakeClock();
    const signals: AbortSignal[] = [];
    const parked = tool({ name: "parked", timeoutMs: 50, run: (_, { signal }) => (signals.push(signal), new Promise<string>(() => {})) });
    const model = mockModel([[call("parked"), call("quick")], "end"]);
    const parts: Part[] = [];
    const done = run(withTools(model, [parked, sync("quick", "ok")], { clock }), "q").forEach((part) => {
      parts.push(part);
      if (part.kind === "toolResult" && part.name === "quick") void clock.advance(50);
    });
    await soon(done);
    expect(resultsIn(parts)).toEqual([["quick", "ok", false], ["parked", "the tool took longer than 50 ms", true]]);
    expect([signals[0]?.aborted, model.calls.length, clock.pending]).toEqual([true, 2, 0]);
  });

  test("a tool that streamed before its time was up is an error result too", async () => {
    const clock = fakeClock();
    const slow = tool({
      name: "slow",
      timeoutMs: 10,
      async *run() {
        yield "one";
        await new Promise(() => {});
      },
    });
    const parts: Part[] = [];
    await soon(
      run(withTools(mockModel([[call("slow")], "end"]), [slow], { clock }), "q").forEach((part) => {
        parts.push(part);
        if (part.substream === "tools") void clock.advance(10);
      }),
    );
    expect(resultsIn(parts)).toEqual([["slow", "the tool took longer than 10 ms", true]]);
  });

  test("a name that does not exist is answered with those that do", async () => {
    const model = mockModel([[call("weather")], "end"]);
    const parts = await run(withTools(model, [sync("a", "x"), sync("b", "y")]), "q").collect();
    expect(resultsIn(parts)).toEqual([["weather", 'there is no tool "weather", there are: a, b', true]]);
  });

  test("arguments that do not fit the schema are answered with what is wrong, and the tool does not run", async () => {
    let runs = 0;
    const strict = { city: z.string(), days: z.number().int().max(7).default(1) };
    const t = tool({ name: "t", input: z.object(strict), run: ({ city, days }) => ((runs += 1), `${city} ${days}`) });
    expect(await oneCall(t, { city: 7, days: 9 })).toEqual(["t", expect.stringMatching(/^the arguments do not fit: city: .*string.*; days: /), true]);
    expect(runs).toBe(0);
    expect(await oneCall(t, { city: "Oslo" })).toEqual(["t", "Oslo 1", false]);
  });

  test("JSON Schema is held to as well", async () => {
    const t = tool({
      name: "t",
      input: { type: "object", properties: { city: { type: "string" }, in: { type: "object", properties: { "a/b": { type: "number" } } } }, required: ["city"], additionalProperties: false },
      run: ({ city }: { city: string }) => city,
    });
    expect(await oneCall(t, { city: 7 })).toEqual(["t", expect.stringMatching(/^the arguments do not fit: city: [^;]*$/), true]);
    expect(await oneCall(t, { city: "Oslo", other: 1 })).toEqual(["t", expect.stringContaining("other"), true]);
    expect(await oneCall(t, { city: "Oslo" })).toEqual(["t", "Oslo", false]);
  });

  test("C96: arguments that are no JSON go back as what was received, cut to 500 characters", async () => {
    let runs = 0;
    const t = tool({ name: "t", run: () => String((runs += 1)) });
    const model = mockModel([[{ toolCall: { name: "t", arguments: `{"a":${"x".repeat(600)}` } }], "end"]);
    const parts = await run(withTools(model, [t]), "q").collect();
    expect(resultsIn(parts)).toEqual([["t", `the arguments are no JSON object: {"a":${"x".repeat(495)}`, true]]);
    expect(runs).toBe(0);
  });

  test("a model that goes on sending unusable arguments fails the run, one that learns does not", async () => {
    const t = tool({ name: "t", input: z.object({ n: z.number() }), run: ({ n }) => n });
    const stubborn = mockModel(() => [call("t", { n: "one" })]);
    const error = await failing(run(withTools(stubborn, [t], { maxUnusable: 2 }), "q").collect());
    expect([error.code, stubborn.calls.length]).toEqual(["bad_response", 3]);
    const learner = mockModel(({ turn }) => (turn > 6 ? "end" : [call("t", turn % 3 === 0 ? { n: 1 } : { n: "one" })]));
    await run(withTools(learner, [t], { maxUnusable: 2 }), "q").collect();
    expect(learner.calls).toHaveLength(7);
  });

  test("a result that is too large is an error result, and its source is closed", async () => {
    let closed = false;
    const t = tool({
      name: "t",
      *run() {
        try {
          for (;;) yield "x".repeat(100);
        } finally {
          closed = true;
        }
      },
    });
    const parts = await run(withTools(mockModel([[call("t")], "end"]), [t], { maxResultBytes: 250 }), "q").collect();
    expect(resultsIn(parts)).toEqual([["t", "the result is larger than 250 bytes", true]]);
    expect(closed).toBe(true);
  });
});

describe("what a tool gives", () => {
  const given = async (t: ReturnType<typeof tool>, args: Record<string, string | number> = {}): Promise<{ readonly model: readonly Part[]; readonly consumer: readonly Part[] }> => {
    const model = mockModel([[call(t.name, args)], "end"]);
    const parts = await run(withTools(model, [t]), "q").collect();
    const after = model.calls[1]?.input ?? [];
    return { model: after.slice(after.findIndex((part) => part.kind === "finish") + 1), consumer: parts.filter((part) => part.role === "tool") };
  };

  test("a value is the result, and nothing is streamed besides", async () => {
    for (const [value, result] of [["a", "a"], ["", ""], [7, 7], [null, null], [undefined, null], [["a", "b"], ["a", "b"]], [[], []], [{ a: [1] }, { a: [1] }]] as const) {
      const { model, consumer } = await given(tool({ name: "t", run: () => value as never }));
      expect(model).toMatchObject([{ kind: "toolResult", result, isError: false }]);
      expect(consumer).toEqual(model);
    }
  });

  test("what is no JSON is an error result", async () => {
    for (const value of [() => 1, new Date(0), Number.NaN, 1n]) {
      expect((await given(tool({ name: "t", run: () => value as never }))).model).toMatchObject([{ isError: true, result: "the tool failed" }]);
    }
  });

  test("parts stream on substream `tools` as they come, and their text is the result", async () => {
    const t = tool({
      name: "t",
      async *run() {
        yield "a";
        yield text("b");
        yield text("hidden", { substream: "notes" });
        yield json({ n: 1 });
      },
    });
    const { model, consumer } = await given(t);
    expect(model).toMatchObject([{ kind: "toolResult", result: 'ab{"n":1}' }]);
    expect(consumer.map((part) => [part.kind, part.substream])).toEqual([["text", "tools"], ["text", "tools"], ["text", "tools"], ["json", "tools"], ["toolResult", ""]]);
    expect(consumer[0]?.metadata).toEqual({ tool: { id: "call_1_1", name: "t" } });
  });

  test("a status part of a tool goes straight to the output", async () => {
    const t = tool({ name: "t", *run() { yield status("half way"); yield "ok"; } });
    const parts = await run(withTools(mockModel([[call("t")], "end"]), [t]), "q").collect();
    expect(parts.filter(({ substream }) => substream === "status")).toMatchObject([{ text: "half way" }]);
  });

  test("images are behind the result that they belong to", async () => {
    const png = image(new Uint8Array([1, 2, 3]));
    for (const output of [png, [text("a map"), png]]) {
      const { model } = await given(tool({ name: "t", run: () => output }));
      expect(model).toMatchObject([
        { kind: "toolResult", result: Array.isArray(output) ? "a map" : "" },
        { kind: "bytes", role: "tool", substream: "", metadata: { toolResult: { id: "call_1_1" } } },
      ]);
    }
  });

  test("a pipeline is a tool: it reads the arguments as a JSON part", async () => {
    const shout = each((part) => (part.kind === "json" ? JSON.stringify(part.value).toUpperCase() : part));
    const t = tool({ name: "t", input: { type: "object", properties: { a: { type: "string" } } }, run: shout });
    expect((await given(t, { a: "b" })).model).toMatchObject([{ result: '{"A":"B"}' }]);
    const expert = mockModel(["Forty-two."]);
    expect((await given(tool({ name: "expert", run: pipe(expert) }))).model).toMatchObject([{ result: "Forty-two." }]);
  });

  test("a function may hand on a run of its own", async () => {
    const expert = mockModel(["Forty-two."]);
    const t = tool({ name: "t", run: (_, { signal }) => run(expert, "q", { signal }) });
    expect((await given(t)).model).toMatchObject([{ result: "Forty-two." }]);
  });
});

describe("leaving", () => {
  const parked = (seen: { signal?: AbortSignal; closed: boolean }) =>
    tool({
      name: "parked",
      async *run(_, { signal }) {
        seen.signal = signal;
        try {
          yield "begun";
          await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
        } finally {
          seen.closed = true;
        }
      },
    });

  test("S27: an abort is no tool's trouble: the run rejects with the reason, and the tool is closed", async () => {
    const seen: { signal?: AbortSignal; closed: boolean } = { closed: false };
    const controller = new AbortController();
    const reason = new Error("enough");
    const model = mockModel([[call("parked")], "end"]);
    const done = run(withTools(model, [parked(seen)]), "q", { signal: controller.signal }).forEach((part) => {
      if (part.substream === "tools") controller.abort(reason);
    });
    await expect(soon(done)).rejects.toBe(reason);
    await turns(5);
    expect([seen.closed, seen.signal?.aborted, model.calls.length]).toEqual([true, true, 1]);
  });

  test("break closes what runs", async () => {
    const seen: { signal?: AbortSignal; closed: boolean } = { closed: false };
    for await (const part of run(withTools(mockModel([[call("parked")], "end"]), [parked(seen)]), "q")) if (part.substream === "tools") break;
    expect([seen.closed, seen.signal?.aborted]).toEqual([true, true]);
  });

  test("a source of tools is opened at the first pull and closed with the run, however that ends", async () => {
    const log: string[] = [];
    const source: ToolSource = {
      name: "server",
      openTools: async () => (log.push("open"), { tools: [sync("remote", "far")], close: async () => void log.push("close") }),
    };
    const looped = (model: Processor): Processor => withTools(model, [sync("local", "near"), source]);
    const stream = run(looped(mockModel([[call("remote"), call("local")], "end"])), "q");
    expect(log).toEqual([]);
    expect(resultsIn(await stream.collect())).toEqual([["remote", "far", false], ["local", "near", false]]);
    await failing(run(looped(mockModel([[{ error: new MillraceError("unavailable", "down") }]])), "q").collect());
    for await (const _ of run(looped(mockModel(["a b"])), "q")) break;
    expect(log).toEqual(["open", "close", "open", "close", "open", "close"]);
  });

  test("when one source of tools cannot be opened the others are closed, and the model is not asked", async () => {
    const log: string[] = [];
    const good: ToolSource = { name: "good", openTools: async () => ({ tools: [], close: async () => void log.push("closed") }) };
    const down = new MillraceError("unavailable", "down");
    const bad: ToolSource = { name: "bad", openTools: () => Promise.reject(down) };
    const model = mockModel(["x"]);
    await expect(run(withTools(model, [good, bad]), "q").collect()).rejects.toBe(down);
    expect([log, model.calls.length]).toEqual([["closed"], 0]);
  });

  test("a source of tools that opens when the run has been left is closed all the same", async () => {
    const opening = gate();
    const closed = gate();
    const late: ToolSource = { name: "late", openTools: () => opening.promise.then(() => ({ tools: [], close: async () => closed.open() })) };
    const controller = new AbortController();
    const done = run(withTools(mockModel(["x"]), [late]), "q", { signal: controller.signal }).collect();
    await turns(3);
    controller.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    opening.open();
    await soon(closed.promise);
  });
});

describe("running again", () => {
  const down = new MillraceError("unavailable", "down", { retryAfterMs: 5 });

  test("a run that fails after a tool has acted is not for retrying, unless every tool that ran may run again", async () => {
    for (const idempotent of [false, true]) {
      const t = tool({ name: "t", idempotent, run: () => "x" });
      const error = await failing(run(withTools(mockModel([[call("t")], [{ error: down }]]), [t]), "q").collect());
      expect([error.code, error.retryable, error.retryAfterMs, error.message]).toEqual(["unavailable", idempotent, 5, "down"]);
      expect(error === down || error.cause === down).toBe(true);
    }
    await expect(run(withTools(mockModel([[{ error: down }]]), [sync("t", "x")]), "q").collect()).rejects.toBe(down);
  });

  test("a retry of the model within repeats its turn, and no tool", async () => {
    let runs = 0;
    const t = tool({ name: "t", run: () => String((runs += 1)) });
    const model = mockModel([[call("t")], [{ error: new MillraceError("unavailable", "down") }], "end"]);
    expect(await run(withTools(retry(model, { random: () => 0 }), [t]), "q").text()).toBe("end");
    expect([runs, model.calls.length]).toEqual([1, 3]);
  });
});

describe("construction", () => {
  test("bad options are refused by name", () => {
    const t = sync("t", "x");
    const refusals: readonly (readonly [() => unknown, RegExp])[] = [
      [() => withTools("m" as never, [t]), /argument 1/],
      [() => withTools(mockModel([]), t as never), /tools must be an array/],
      [() => withTools(mockModel([]), [{ name: "t" } as never]), /tools\[0\]/],
      [() => withTools(mockModel([]), [t, sync("t", "y")]), /two tools are named t/],
      [() => withTools(mockModel([]), [t], { maxTurns: 0 }), /maxTurns/],
      [() => withTools(mockModel([]), [t], { concurrency: 1.5 }), /concurrency/],
      [() => withTools(mockModel([]), [t], { maxUnusable: -1 }), /maxUnusable/],
      [() => withTools(mockModel([]), [t], { maxResultBytes: 0 }), /maxResultBytes/],
      [() => sync("", "x"), /name/],
      [() => sync("two words", "x"), /name/],
      [() => sync("__proto__", "x"), /name/],
      [() => sync("x".repeat(65), "x"), /name/],
      [() => tool({ name: "t", description: 1 as never, run: () => 1 }), /description/],
      [() => tool({ name: "t", run: "x" as never }), /run/],
      [() => tool({ name: "t", timeoutMs: 0, run: () => 1 }), /timeoutMs/],
      [() => tool({ name: "t", idempotent: "yes" as never, run: () => 1 }), /idempotent/],
      [() => tool({ name: "t", input: 7 as never, run: () => 1 }), /input/],
      [() => tool({ name: "t", input: z.string(), run: () => 1 }), /input of t/],
    ];
    for (const [make, message] of refusals) expect(make).toThrow(message);
  });
});

test("over random plans of turns every call has one result, in order, and every turn sees all before it", async () => {
  const plan = fc.array(fc.array(fc.record({ name: fc.constantFrom("sync", "async", "stream", "bad", "none"), late: fc.nat(4) }), { maxLength: 5 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(plan, fc.integer({ min: 1, max: 4 }), async (rounds, concurrency) => {
      const calling = rounds.filter((calls) => calls.length > 0);
      const answers: MockEvent[][] = [...calling.map((calls, turn) => calls.map(({ name, late }, i) => call(name, { late }, `${turn}.${i}`))), ["end"]];
      const model = mockModel(answers);
      const late = { type: "object", properties: { late: { type: "number" } } };
      const tools = [
        tool({ name: "sync", input: late, run: (_, __, { id }) => id }),
        tool({ name: "async", input: late, run: async (input: { late: number }, _, { id }) => (await turns(input.late), id) }),
        tool({ name: "stream", input: late, async *run(input: { late: number }, _, { id }) { await turns(input.late); yield id.slice(0, 1); yield id.slice(1); } }),
        tool({ name: "bad", input: late, run: () => { throw new Error("no"); } }),
      ];
      const parts = await run(withTools(model, tools, { concurrency, maxUnusable: 99 }), "q").collect();
      expect(parts.filter((part) => isText(part) && part.substream === "").map((part) => isText(part) && part.text).join("")).toBe("end");
      for (const [turn, asked] of model.calls.entries()) {
        const results = asked.input.flatMap((part) => (part.kind === "toolResult" ? [[part.id, part.isError ? "error" : part.result]] : []));
        const due = calling.slice(0, turn).flatMap((calls, at) => calls.map(({ name }, i) => [`${at}.${i}`, name === "bad" || name === "none" ? "error" : `${at}.${i}`]));
        expect(results).toEqual(due);
      }
      expect(model.calls).toHaveLength(calling.length + 1);
    }),
    { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
  );
});
