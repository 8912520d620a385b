import { type } from "arktype";
import fc from "fast-check";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type Context, each, finish, isJson, isMillraceError, json, MillraceError, type Part, pipe, type Processor, retry, run, text, tool, toolCall, withTools } from "../../src/index.ts";
import { asks } from "../../src/kit.ts";
import { type MockAnswer, type MockModel, mockModel, watchedSource } from "../../src/testing/index.ts";
import { structured, type StructuredOptions } from "../../src/tools/structured.ts";
import { soon, texts, turns } from "../streams/support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
const wrong = (value: unknown): never => value as never;

const anything = {};
const personSchema = { type: "object", properties: { name: { type: "string" }, age: { type: "number" } }, required: ["name", "age"], additionalProperties: false };
const person = z.object({ name: z.string(), age: z.number() });
const ada = { name: "Ada", age: 36 };
const adaText = JSON.stringify(ada);

const failure = async (promise: Promise<unknown>): Promise<MillraceError> => {
  const error: unknown = await promise.then(() => new Error("nothing failed"), (reason: unknown) => reason);
  if (isMillraceError(error)) return error;
  throw error;
};

/** What came until it failed, and how it failed. */
const ending = async (processor: Processor, input: Parameters<typeof run>[1] = "Who?"): Promise<{ readonly parts: Part[]; readonly error: MillraceError }> => {
  const parts: Part[] = [];
  const error = await failure(run(processor, input).forEach((part) => parts.push(part)));
  return { parts, error };
};

/** Kinds in order; substreams but the main one with their name; the values of JSON. */
const shown = (parts: readonly Part[]): string[] =>
  parts.map((part) => `${part.substream === "" ? "" : `${part.substream}: `}${isJson(part) ? JSON.stringify(part.value) : part.kind === "text" ? part.text : part.kind}`);

const values = (parts: readonly Part[]): unknown[] => parts.filter(isJson).filter(({ substream }) => substream === "").map(({ value }) => value);

const said = (content: string, metadata = {}): Part => text(content, { role: "assistant", metadata });

/** A text, cut at some places. */
const cutAt = (whole: string, cuts: readonly number[]): string[] => {
  const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b), whole.length];
  return places.slice(1).map((place, index) => whole.slice(places[index], place));
};

describe("a value instead of text", () => {
  test("comes once, before the finish part; the text does not, the rest comes in its order", async () => {
    const sources = json([], { role: "assistant", substream: "sources" });
    const model = mockModel([[{ reasoning: "hm" }, '{"name":"Ada",', sources, '"age":36}']]);
    const parts = await run(structured(model, personSchema), "Who?").collect();
    expect(shown(parts)).toEqual(["reasoning: hm", "sources: []", adaText, "finish"]);
    expect(parts[1]).toBe(sources);
    expect(parts[2]).toMatchObject({ kind: "json", role: "assistant", mimeType: "application/json", metadata: {} });
    expect(await run(structured(mockModel([adaText]), personSchema), "Who?").json()).toEqual(ada);
  });

  test("C97: is one and equal, however the text of an object is cut", async () => {
    const whole = { a: 'é😀"\\\n', b: [1, -2.5e-3, true, null, {}], c: { d: "" } };
    for (const written of [JSON.stringify(whole), JSON.stringify(whole, undefined, 2)]) {
      for (let cut = 0; cut <= written.length; cut += 1) {
        const model = mockModel([[written.slice(0, cut), written.slice(cut)]]);
        expect(values(await run(structured(model, anything, { partial: cut % 2 === 0 }), "?").collect())).toEqual([whole]);
      }
    }
  });

  test("C97: is one and equal for any value, cut at any places", async () => {
    const value = fc.jsonValue({ stringUnit: "binary" }).filter((it) => !/"(__proto__|constructor|prototype)":/.test(JSON.stringify(it)));
    await fc.assert(
      fc.asyncProperty(value, fc.array(fc.nat(), { maxLength: 5 }), fc.boolean(), async (it, cuts, partial) => {
        const model = mockModel([cutAt(JSON.stringify(it), cuts)]);
        expect(values(await run(structured(model, anything, { partial }), "?").collect())).toEqual([JSON.parse(JSON.stringify(it))]);
      }),
      { numRuns: runs },
    );
  });

  test("is of the schema or is not given at all, whatever becomes of the text", async () => {
    const { safeParse } = person;
    const piece = fc.string({ unit: fc.constantFrom(..."{}[]\":,\\0136enull Ada`\n"), maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.nat(adaText.length), fc.nat(4), piece, fc.boolean(), async (at, length, more, truncated) => {
        const changed = adaText.slice(0, at) + more + adaText.slice(at + length);
        const events: MockAnswer = truncated ? [changed, { truncate: true }] : [changed];
        const parts: Part[] = [];
        const error: unknown = await run(structured(mockModel([events]), person, { attempts: 1, partial: true }), "Who?").forEach((part) => parts.push(part)).catch((reason: unknown) => reason);
        const given = values(parts);
        expect(given.every((value) => safeParse(value).success)).toBe(true);
        expect(given.length).toBe(error === undefined ? 1 : 0);
        if (error !== undefined) expect(["bad_response", "truncated", "interrupted"]).toContain((error as MillraceError).code);
      }),
      { numRuns: runs },
    );
  });

  test.each([`\`\`\`json\n${adaText}\n\`\`\``, `\n \`\`\`\n${adaText}\`\`\` \n`, `\`\`\`JSON\r\n${adaText}\r\n\`\`\``])("is read out of the fence of %j, and grows in it too", async (answer) => {
    const parts = await run(structured(mockModel([answer.split("")]), personSchema, { partial: true }), "Who?").collect();
    expect(values(parts)).toEqual([ada]);
    expect(shown(parts).slice(0, 2)).toEqual(["partial: {}", 'partial: {"name":""}']);
  });

  test.each([`Here: ${adaText}`, `${adaText} That is it.`, `\`\`\`json\n${adaText}`, `\`\`\`json\n${adaText}xyz`, `\`\`\`ts\n${adaText}\n\`\`\``, `\`\`\`${adaText}\`\`\``, "", "  ", "`", "```", "```\n```"])("is not guessed from %j", async (answer) => {
    expect((await failure(run(structured(mockModel([[answer]]), personSchema, { attempts: 1 }), "Who?").collect())).code).toBe("bad_response");
  });

  test("is that of a processor which says no end", async () => {
    const model: Processor = async function* (input) {
      for await (const _ of input);
      yield said(adaText);
    };
    expect(shown(await run(structured(model, personSchema), "Who?").collect())).toEqual([adaText]);
  });

  test("has the metadata of the text that it stands for, and goes back to the model in its place", async () => {
    const answer: MockAnswer = [said('{"name":"Ada",', { gemini: { a: 1, b: [1] }, own: 5 }), said('"age":36}', { gemini: { b: [2] } }), said("", { gemini: { thoughtSignature: "s" } }), { finish: "stop" }];
    const model = mockModel([answer, "Yes."]);
    const parts = await run(structured(model, personSchema), "Who?").collect();
    expect(parts[0]?.metadata).toEqual({ gemini: { a: 1, b: [2], thoughtSignature: "s" }, own: 5 });
    await run(model, ["Who?", ...parts, "Really?"]).collect();
    expect(shown(model.calls[1]?.input ?? [])).toEqual(["Who?", adaText, "finish", "Really?"]);
  });
});

describe("an answer that is none", () => {
  test.each(["length", "pause"] as const)("C98: rejects with truncated where it ended with reason %s, though it may be a value", async (reason) => {
    for (const answer of ['{"name":"Ada","a', adaText]) {
      const { parts, error } = await ending(structured(mockModel([[answer, { finish: reason, usage: { outputTokens: 9 } }]]), personSchema, { partial: true }));
      expect(error).toMatchObject({ code: "truncated", attempts: 1, partial: { parts: 1, text: answer, usage: { outputTokens: 9 } } });
      expect(error.message).toBe(`structured: the answer is not whole, it ended with reason ${reason}`);
      expect(parts.every(({ substream }) => substream === "partial")).toBe(true);
    }
  });

  test.each(["refusal", "content_filter"] as const)("rejects with refused where it ended with reason %s", async (reason) => {
    const { parts, error } = await ending(structured(mockModel([["I will not.", { finish: reason }]]), personSchema));
    expect(error).toMatchObject({ code: "refused", retryable: false, partial: { text: "I will not." } });
    expect(parts).toEqual([]);
  });

  test("is the model's own error, the same object, where the model fails", async () => {
    const down = new MillraceError("unavailable", "down");
    expect((await ending(structured(mockModel([[{ error: down }]]), personSchema))).error).toBe(down);
    const { parts, error } = await ending(structured(mockModel([['{"name":', { truncate: true }]]), personSchema));
    expect(error).toMatchObject({ code: "interrupted", cause: { code: "truncated" }, partial: { text: '{"name":' } });
    expect(parts).toEqual([]);
  });

  test("is asked for again with itself and what is wrong with it, and its finish part goes out", async () => {
    const model = mockModel([[{ reasoning: "hm" }, '{"name":"Ada",', '"age":"36"}', { finish: "stop", usage: { outputTokens: 3 } }], [adaText, { finish: "stop", usage: { outputTokens: 4 } }]]);
    const parts = await run(structured(model, personSchema), ["Who", " was it?"]).collect();
    expect(shown(parts)).toEqual(["reasoning: hm", "finish", adaText, "finish"]);
    expect(parts.flatMap((part) => (part.kind === "finish" ? [[part.usage.outputTokens, part.metadata]] : []))).toEqual([[3, { structured: { rejected: true } }], [4, {}]]);
    const again = model.calls[1]?.input ?? [];
    expect(texts(again).slice(0, 5)).toEqual(["Who", " was it?", "hm", '{"name":"Ada",', '"age":"36"}']);
    expect(again).toHaveLength(6);
    expect(again[5]).toMatchObject({ kind: "text", role: "user", text: expect.stringMatching(/^That answer does not fit the JSON Schema: age: .*number/) });
  });

  test.each<[string, string]>([
    ["", "it is empty"],
    ["Ada", "it is no JSON: "],
    ['{"name":{"constructor":1}}', "it.name has the key constructor"],
    ['{"__proto__":1}', "it has the key __proto__"],
    [`${"[".repeat(65)}${"]".repeat(65)}`, "is nested deeper than 64 levels"],
    ["[1e999]", "it[0] must be a JSON value, got number Infinity"],
  ])("is asked for again where it is %s, and told why", async (answer, why) => {
    const model = mockModel([[answer], [adaText]]);
    expect(await run(structured(model, personSchema), "Who?").json()).toEqual(ada);
    expect(model.calls[1]?.text).toContain(why);
  });

  test("rejects with bad_response after as many attempts as there may be, with the last text", async () => {
    for (const attempts of [1, 2, 3]) {
      const model = mockModel(({ turn }) => [`{"name":36,"age":${turn}}`, { finish: "stop", usage: { outputTokens: turn } }]);
      const { parts, error } = await ending(structured(model, personSchema, { attempts }));
      expect(error).toMatchObject({ code: "bad_response", attempts, partial: { parts: 1, text: `{"name":36,"age":${attempts}}`, usage: { outputTokens: attempts } } });
      expect(error.message).toMatch(`structured: answer ${attempts} of ${attempts} does not fit the schema: name: `);
      expect(JSON.stringify(error)).not.toContain("age");
      expect([model.calls.length, shown(parts)]).toEqual([attempts, Array.from({ length: attempts - 1 }, () => "finish")]);
    }
  });

  test("is told in 500 characters at most", async () => {
    const issues = [{ message: "x".repeat(10_000) }];
    const schema = { "~standard": { version: 1, vendor: "own", validate: () => ({ issues }) } } as const;
    const model = mockModel(["1", "2"]);
    const { error } = await ending(structured(model, schema, { jsonSchema: {} }));
    expect(error.message.length).toBeLessThan(600);
    expect(model.calls[1]?.text.length).toBeLessThan(700);
    // some runtimes quote the word that is no JSON
    expect((await ending(structured(mockModel([["A".repeat(10_000)]]), personSchema, { attempts: 1 }))).error.message.length).toBeLessThan(600);
  });

  test("hands nothing on with one attempt, so that a retry around it is free to try again", async () => {
    const model = mockModel(["no", adaText]);
    const parts = await run(retry(structured(model, personSchema, { attempts: 1 }), { baseMs: 0 }), "Who?").collect();
    expect(shown(parts)).toEqual([adaText, "finish"]);
  });

  test("is not read beyond maxBytes of UTF-8", async () => {
    const model = mockModel([['"é', 'é"', "never"], ['"é', 'é"']]);
    const { error } = await ending(structured(model, anything, { maxBytes: 5 }));
    expect(error).toMatchObject({ code: "too_large", message: "structured: the answer is longer than maxBytes, 5" });
    expect(model.calls[0]).toMatchObject({ outcome: "left", delivered: 2 });
    expect(await run(structured(model, anything, { maxBytes: 6 }), "?").json()).toBe("éé");
  });

  test("of nothing to answer is nothing: no request, no parts", async () => {
    const model = mockModel([]);
    for (const native of [true, false]) {
      expect(await run(structured(model, personSchema, { native }), []).collect()).toEqual([]);
      expect(await run(structured(model, personSchema, { native }), "").collect()).toEqual([]);
    }
    const system = text("Be brief.", { role: "system" });
    const silent: Processor = async function* (input) {
      for await (const part of input) expect(part).toBe(system); // as models are: no request for it alone
    };
    expect(await run(structured(silent, personSchema, { native: false }), system).collect()).toEqual([]);
    expect(model.calls).toEqual([]);
  });

  test("that is empty is asked for again, also without a word before its end", async () => {
    const model = mockModel([[{ finish: "stop" }], [adaText]]);
    expect(shown(await run(structured(model, personSchema), "Who?").collect())).toEqual(["finish", adaText, "finish"]);
  });
});

describe("a value as it grows", () => {
  const grown = async (answers: readonly MockAnswer[], options: StructuredOptions = {}): Promise<string[]> =>
    shown(await run(structured(mockModel(answers), anything, { ...options, partial: true }), "?").collect());

  test("is given on its substream, marked, at most once a text and only when it is more", async () => {
    const parts = await run(structured(mockModel([['{"a"', ":", ' "x', "", 'y", "b": 1', "2", "} ", " "]]), anything, { partial: true }), "?").collect();
    expect(shown(parts)).toEqual(["partial: {}", 'partial: {"a":"x"}', 'partial: {"a":"xy"}', 'partial: {"a":"xy","b":12}', '{"a":"xy","b":12}', "finish"]);
    for (const part of parts.slice(0, 4)) expect(part).toMatchObject({ kind: "json", role: "assistant", metadata: { structured: { partial: true } } });
    expect(parts[4]?.metadata).toEqual({});
  });

  test("begins anew with each attempt", async () => {
    const schema = { jsonSchema: {}, attempts: 2 };
    expect(await grown([["[1,", "no"], ["[2,", "3]"]], schema)).toEqual(["partial: [1]", "finish", "partial: [2]", "partial: [2,3]", "[2,3]", "finish"]);
  });

  test("is live: given while the model still speaks", async () => {
    const model = mockModel([['{"a":"', { stall: true }]]);
    const seen: Part[] = [];
    const leave = new AbortController();
    const running = run(structured(model, anything, { partial: true }), "?", { signal: leave.signal }).forEach((part) => seen.push(part));
    await turns();
    expect(shown(seen)).toEqual(['partial: {"a":""}']);
    leave.abort("enough");
    await expect(soon(running)).rejects.toBe("enough");
  });
});

describe("turns that call tools", () => {
  const call = toolCall({ id: "1", name: "look", arguments: {} });
  const talk = said("Let me look.", { own: { signature: "s" } });
  const look = tool({ name: "look", run: () => "seen" });
  /** A loop of a turn that calls and turns after it. */
  const loop = (...after: readonly MockAnswer[]): { readonly model: MockModel; readonly processor: Processor } => {
    const model = mockModel([[talk, call, "More talk."], ...after]);
    return { model, processor: withTools(model, [look]) };
  };

  test("go out as they are, and give no value", async () => {
    const model = mockModel([[{ reasoning: "hm" }, talk, call, "More talk."], [talk, finish({ reason: "tool_calls" })]]);
    const parts = await run(structured(model, personSchema), "Who?").collect();
    expect(shown(parts)).toEqual(["reasoning: hm", "Let me look.", "toolCall", "More talk.", "finish"]);
    expect([parts[1], parts[2]]).toEqual([talk, call]);
    expect(parts[1]).toBe(talk);
    expect(shown(await run(structured(model, personSchema), "Who?").collect())).toEqual(["Let me look.", "finish"]);
  });

  test("of a loop inside come before the value, which is the text of the last turn alone", async () => {
    const { processor } = loop([{ reasoning: "ah" }, adaText]);
    const parts = await run(structured(processor, personSchema, { partial: true }), "Who?").collect();
    expect(shown(parts).filter((each) => !each.startsWith("partial"))).toEqual(["Let me look.", "toolCall", "More talk.", "finish", "toolResult", "reasoning: ah", adaText, "finish"]);
  });

  test("of a loop inside are not repeated when the value is asked for again", async () => {
    const { processor, model } = loop(["no"], [adaText]);
    expect(shown(await run(structured(processor, personSchema), "Who?").collect())).toEqual(["Let me look.", "toolCall", "More talk.", "finish", "toolResult", "finish", adaText, "finish"]);
    expect(texts(model.calls[2]?.input ?? []).slice(0, -1)).toEqual(["Who?", "Let me look.", "toolCall", "More talk.", "toolResult", "no"]);
  });

  test("of a loop inside are asked for the schema beside the tools, the last one and those before", async () => {
    const { model, processor } = loop([adaText]);
    await run(structured(processor, personSchema), "Who?").collect();
    expect(model.calls.map(({ asked }) => [asked.output?.schema, asked.tools?.map(({ name }) => name)])).toEqual([[personSchema, ["look"]], [personSchema, ["look"]]]);
  });

  test("in a loop around it come from it one by one, and the value is that of the last", async () => {
    const model = mockModel([["no"], [talk, call], [adaText]]);
    const parts = await run(withTools(structured(model, personSchema), [look]), "Who?").collect();
    expect(shown(parts)).toEqual(["finish", "Let me look.", "toolCall", "finish", "toolResult", adaText, "finish"]);
    expect(texts(model.calls[2]?.input ?? [])).toEqual(["Who?", "finish", "Let me look.", "toolCall", "finish", "toolResult"]);
    expect(model.calls[2]?.asked).toMatchObject({ output: { name: "answer" }, tools: [{ name: "look" }] });
  });

  test("of a loop inside do not hide that the last turn said nothing", async () => {
    const { processor } = loop([{ finish: "stop" }], [{ finish: "stop" }]);
    const { error } = await ending(structured(processor, personSchema));
    expect(error).toMatchObject({ code: "bad_response", attempts: 2, partial: { text: "" } });
  });

  test("are not the only ones there may be: the last text counts, after the ends of the turns before it", async () => {
    const processor: Processor = async function* () {
      for (const answer of ["{}", adaText]) {
        yield said(answer);
        yield finish({ reason: "stop" });
      }
      yield json("behind", { substream: "own" });
    };
    expect(shown(await run(structured(processor, personSchema), "Who?").collect())).toEqual(["finish", "finish", 'own: "behind"', adaText]);
    const calling: Processor = async function* () {
      yield said(adaText);
      yield finish({ reason: "stop" });
      yield call;
      yield finish({ reason: "tool_calls" });
    };
    expect(shown(await run(structured(calling, personSchema), "Who?").collect())).toEqual(["finish", "toolCall", "finish"]);
  });

  test("reject where they were cut", async () => {
    const { error } = await ending(structured(mockModel([[call, { finish: "length" }]]), personSchema));
    expect(error.code).toBe("truncated");
  });
});

describe("what a model is asked for", () => {
  test("is the schema under a name, strict where that can be, beside what is asked further out", async () => {
    const model = mockModel([adaText, adaText, adaText]);
    const tools = [{ name: "look", parameters: {} }];
    await run(asks(structured(model, personSchema), { tools, toolChoice: "auto", output: { name: "other", schema: {} } }), "Who?").collect();
    await run(structured(retry(model), { ...personSchema, required: ["name"] }, { name: "person-1" }), "Who?").collect();
    await run(structured(model, anything, { jsonSchema: personSchema }), "Who?").collect();
    expect(model.calls.map(({ asked }) => asked)).toEqual([
      { tools, toolChoice: "auto", output: { name: "answer", schema: personSchema, strict: true } },
      { output: { name: "person-1", schema: { ...personSchema, required: ["name"] }, strict: false } },
      { output: { name: "answer", schema: personSchema, strict: true } },
    ]);
    expect(model.calls.map(({ input }) => texts(input))).toEqual([["Who?"], ["Who?"], ["Who?"]]);
  });

  test("is a text behind the input for a model without such means, and again with each attempt", async () => {
    const model = mockModel(["no", adaText]);
    const native = structured(model, personSchema, { native: false });
    await run(asks(native, { tools: [], output: { name: "other", schema: {} } }), ["Who?", json(1)]).collect();
    expect(model.calls.map(({ asked }) => asked)).toEqual([{ tools: [] }, { tools: [] }]);
    const instruction = `Answer with one JSON value that fits this JSON Schema, and with nothing else:\n${JSON.stringify(personSchema)}`;
    expect(texts(model.calls[0]?.input ?? [])).toEqual(["Who?", "json", instruction]);
    expect(model.calls[0]?.input[2]?.role).toBe("user");
    expect(texts(model.calls[1]?.input ?? []).slice(0, 4)).toEqual(["Who?", "json", instruction, "no"]);
  });
});

describe("schemas", () => {
  test("of zod, arktype and valibot give the value that they make of the answer", async () => {
    const zod = z.object({ name: z.string().trim(), born: z.string().transform((year) => Number(year)), alive: z.boolean().default(false) });
    expect(await run(structured(mockModel(['{"name":" Ada ","born":"1815"}']), zod), "Who?").json<z.infer<typeof zod>>()).toEqual({ name: "Ada", born: 1815, alive: false });
    const ark = type({ name: "string", "age?": "number" });
    expect(await run(structured(mockModel([adaText]), ark), "Who?").json()).toEqual(ada);
    const valibot = v.object({ name: v.string(), age: v.pipe(v.number(), v.transform((age) => age + 1)) });
    expect(await run(structured(mockModel([adaText]), valibot, { jsonSchema: personSchema }), "Who?").json()).toEqual({ name: "Ada", age: 37 });
  });

  test.each<[string, Parameters<typeof structured>[1]]>([["zod", person], ["arktype", type({ name: "string", age: "number" })], ["valibot", v.object({ name: v.string(), age: v.number() })], ["JSON Schema", personSchema]])(
    "of %s say what is wrong, and where",
    async (_, schema) => {
      const model = mockModel(['{"name":"Ada","age":"36"}', adaText]);
      expect(await run(structured(model, schema, { jsonSchema: personSchema }), "Who?").json()).toEqual(ada);
      expect(model.calls[1]?.text).toMatch(/age.*number/);
    },
  );

  test("without a JSON Schema of their own are refused, with what to pass", () => {
    const build = (): unknown => structured(mockModel([]), v.object({ name: v.string() }));
    expect(build).toThrow(/structured: schema is a schema of valibot .*jsonSchema/);
    expect(build).toThrow(expect.toSatisfy((error) => isMillraceError(error, "missing_config")));
  });

  test("whose values are no JSON reject with bad_response and where, and no other answer is asked for", async () => {
    const dates = z.object({ on: z.array(z.string().transform((day) => new Date(day))) });
    const model = mockModel(['{"on":["2026-01-01"]}']);
    const { parts, error } = await ending(structured(model, dates));
    expect(error).toMatchObject({ code: "bad_response", retryable: false, message: "structured: what the schema makes of the answer is no JSON, value.on[0] must be a JSON value, got a Date without fields" });
    expect([parts, model.calls.length]).toEqual([[], 1]);
  });

  test("that throw fail the run with what they threw", async () => {
    const bug = new TypeError("bug");
    const schema = { "~standard": { version: 1, vendor: "own", validate: () => Promise.reject(bug) } } as const;
    await expect(run(structured(mockModel(["1"]), schema, { jsonSchema: {} }), "?").collect()).rejects.toBe(bug);
  });
});

describe("as a stream", () => {
  test("is lazy, reads its input once, also when it asks again, and closes the model when it is left", async () => {
    const source = watchedSource(["Who", "?"]);
    const model = mockModel(["no", ['{"name":', '"Ada', { stall: true }]]);
    const stream = run(structured(model, personSchema, { partial: true }), source);
    await turns();
    expect([source.opened, model.calls.length]).toEqual([0, 0]);
    for await (const part of stream) if (isJson(part)) break;
    expect([source.opened, source.pulls, source.ended]).toEqual([1, 3, true]);
    expect(model.calls.map(({ outcome }) => outcome)).toEqual(["complete", "left"]);
  });

  test("rejects with the reason of an abort while the model is parked", async () => {
    const stop = new AbortController();
    const model = mockModel([["{", { stall: true }]]);
    const running = run(structured(model, personSchema), "Who?", { signal: stop.signal }).collect();
    await turns();
    const reason = { stop: true };
    stop.abort(reason);
    await expect(soon(running)).rejects.toBe(reason);
    expect(model.calls[0]?.outcome).toBe("left");
  });

  test("begins anew where the model inside took back what it said", async () => {
    const down = new MillraceError("unavailable", "down");
    const model = mockModel([['{"name":"Bob",', { error: down }], ["no"], [adaText]]);
    const answer = structured(retry(model, { baseMs: 0, afterCommit: "restart" }), personSchema, { partial: true });
    expect(shown(await run(answer, "Who?").collect())).toEqual(["finish", `partial: ${adaText}`, adaText, "finish"]);
    expect(texts(model.calls[2]?.input ?? []).slice(0, -1)).toEqual(["Who?", "no"]);
  });

  test("lets pass what is no answer: text of others, and text beside the main stream", async () => {
    const aside = [text("user"), text("tool", { role: "tool" }), text("draft", { role: "assistant", substream: "draft" })];
    const processor: Processor = async function* () {
      yield* aside;
      yield said(adaText);
    };
    const parts = await run(structured(processor, personSchema), "Who?").collect();
    expect(parts.slice(0, 3)).toEqual(aside);
    expect(shown(parts)).toEqual(["user", "tool", "draft: draft", adaText]);
  });

  test("is the same between other stages, and any number of times at once", async () => {
    const model = mockModel(({ text: asked }) => [`{"asked":${JSON.stringify(asked)}}`]);
    const answer = pipe(each((part) => part), structured(model, anything), async function* pass(input: AsyncIterable<Part>, _context?: Context) {
      yield* input;
    });
    const asked = Array.from({ length: 10 }, (_, index) => String(index));
    expect(await Promise.all(asked.map((question) => run(answer, question).json()))).toEqual(asked.map((question) => ({ asked: question })));
  });
});

test("bad options are refused when it is built, by their name", () => {
  const model = mockModel([]);
  const bad: readonly [string, () => unknown][] = [
    ["argument 1", () => structured(wrong("model"), anything)],
    ["schema", () => structured(model, wrong("schema"))],
    ["schema", () => structured(model, wrong(undefined))],
    ["name", () => structured(model, anything, { name: "a b" })],
    ["name", () => structured(model, anything, { name: "" })],
    ["name", () => structured(model, anything, { name: "a".repeat(65) })],
    ["attempts", () => structured(model, anything, { attempts: 0 })],
    ["attempts", () => structured(model, anything, { attempts: 1.5 })],
    ["maxBytes", () => structured(model, anything, { maxBytes: 0 })],
    ["partial", () => structured(model, anything, { partial: wrong(1) })],
    ["native", () => structured(model, anything, { native: wrong("no") })],
  ];
  for (const [option, build] of bad) {
    expect(build).toThrow(new RegExp(`^structured: ${option} must be `));
    expect(build).toThrow(expect.toSatisfy((error) => isMillraceError(error, "invalid_input")));
  }
});
