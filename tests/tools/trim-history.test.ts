import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Context, isMillraceError, MillraceError, type Part, pipe, type Processor, retry, run, status, text, toolResult } from "../../src/index.ts";
import { askedOf } from "../../src/core/asked.ts";
import { asks } from "../../src/core/asks.ts";
import { turnsOf } from "../../src/tools/history-turns.ts";
import { trimHistory, type TrimHistoryOptions } from "../../src/tools/trim-history.ts";
import { mockModel } from "../../src/testing/mock-model.ts";
import { call, failure, lines, result, says, system } from "./support.ts";

const numRuns = Number(process.env.PROPERTY_RUNS ?? 200);

/** A part is a token, so that what is left can be read off. */
const perPart = (parts: readonly Part[]): number => parts.length;

const trimmed = async (history: readonly Part[], options: Partial<TrimHistoryOptions>): Promise<string[]> =>
  lines(await run(trimHistory({ maxTokens: 4, count: perPart, ...options }), history).collect());

const chat = [system("brief"), text("one"), says("1"), text("two"), says("2"), text("three"), says("3")];

describe("a history that fits", () => {
  test("is the same parts, counted once", async () => {
    let counts = 0;
    const count = (parts: readonly Part[]): number => {
      counts += 1;
      return parts.length;
    };
    const parts = await run(trimHistory({ maxTokens: chat.length, count }), chat).collect();
    expect(parts.every((part, index) => part === chat[index])).toBe(true);
    expect([parts.length, counts]).toEqual([chat.length, 1]);
  });

  test("of no parts is none", async () => {
    expect(await trimmed([], {})).toEqual([]);
  });
});

describe("a history that is too long", () => {
  test("loses its oldest turns, as few as do, and no system part", async () => {
    expect(await trimmed(chat, { maxTokens: 6 })).toEqual(["system: brief", "user: two", "assistant: 2", "user: three", "assistant: 3"]);
    expect(await trimmed(chat, { maxTokens: 4 })).toEqual(["system: brief", "user: three", "assistant: 3"]);
  });

  test("keeps system parts where they stood, in the midst of what is gone too", async () => {
    const history = [text("one"), system("now loudly"), says("1"), text("two"), says("2")];
    expect(await trimmed(history, { maxTokens: 3 })).toEqual(["system: now loudly", "user: two", "assistant: 2"]);
  });

  test("is trimmed to toTokens, and only where it takes more than maxTokens", async () => {
    expect(await trimmed(chat, { maxTokens: 6, toTokens: 3 })).toEqual(["system: brief", "user: three", "assistant: 3"]);
    expect(await trimmed(chat, { maxTokens: 7, toTokens: 3 })).toHaveLength(7);
  });

  test("keeps the last turns that must stay, though they take more than toTokens", async () => {
    expect(await trimmed(chat, { maxTokens: 6, toTokens: 3, keep: 2 })).toEqual(["system: brief", "user: two", "assistant: 2", "user: three", "assistant: 3"]);
  });

  test("is too_large where what must stay does not fit, and says how much that is", async () => {
    expect(await failure(trimmed(chat, { maxTokens: 2 }))).toMatchObject({ code: "too_large", message: "trimHistory: system parts and the last turn take 3 tokens, 2 may be taken" });
    expect(await failure(trimmed(chat, { maxTokens: 6, keep: 3 }))).toMatchObject({ code: "too_large", message: "trimHistory: system parts and the last 3 turns take 7 tokens, 6 may be taken" });
    expect(await failure(trimmed([system("a"), system("b")], { maxTokens: 1 }))).toMatchObject({ code: "too_large" });
  });

  test("is counted a few times, not once a turn: a count may be a request", async () => {
    const long = Array.from({ length: 1_000 }, (_, at) => [text(`${at}`), says(`${at}`)]).flat();
    let counts = 0;
    const count = async (parts: readonly Part[]): Promise<number> => {
      counts += 1;
      return parts.length;
    };
    expect(await run(trimHistory({ maxTokens: 101, count }), long).collect()).toHaveLength(100);
    expect(counts).toBeLessThanOrEqual(13);
  });
});

describe("a turn", () => {
  const turns = (...parts: Part[]): number[] => turnsOf(parts);

  test("begins with the user's words and holds all up to the next of them", () => {
    expect(turns(text("a"), text("b"), says("hm", { substream: "reasoning" }), call("1"), result("1"), says("c"), text("d"))).toEqual([0, 0, 0, 0, 0, 0, 1]);
  });

  test("may begin with a greeting; system parts are of none", () => {
    expect(turns(system("s"), says("hi"), text("a"), system("t"), says("b"))).toEqual([-1, 0, 1, -1, 1]);
  });

  test("does not end between a call and its result, whoever speaks there", () => {
    expect(turns(text("a"), call("1"), call("2"), result("1"), text("hurry"), result("2"), says("b"), text("c"))).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
  });

  test("ends behind a call that is never answered", () => {
    expect(turns(text("a"), call("1"), text("never mind"), says("b"))).toEqual([0, 0, 1, 1]);
  });

  test("does not reach to the result of a later call of the same id", () => {
    expect(turns(text("a"), call("1"), text("b"), call("1"), result("1"), text("c"))).toEqual([0, 0, 1, 1, 1, 2]);
  });

  test("holds calls and results, whatever role they have", () => {
    const [asUser, asSystem] = (["user", "system"] as const).map((role) => toolResult({ id: "1", name: "time", result: "noon" }, { role }));
    if (asUser === undefined || asSystem === undefined) throw new Error("unreachable");
    expect(turns(text("a"), call("1"), asSystem, says("b"), asUser, says("c"))).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe("counts", () => {
  test("may be promises, and hear the run's signal", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const signals: (AbortSignal | undefined)[] = [];
    const trim = trimHistory({
      maxTokens: 1,
      count: async (_, context) => {
        signals.push(context?.signal);
        controller.abort(reason);
        return 1;
      },
    });
    await expect(run(trim, chat, { signal: controller.signal }).collect()).rejects.toBe(reason);
    expect(signals.map((signal) => signal?.aborted)).toEqual([true]);
  });

  test("that are none are refused, and errors of counting are passed on", async () => {
    for (const tokens of [NaN, -1, Infinity, "5", undefined]) {
      expect(await failure(trimmed(chat, { count: () => tokens as number }))).toMatchObject({ code: "invalid_input", message: expect.stringMatching(/^trimHistory: count must give a number of tokens, gave /) });
    }
    const broken = new Error("no tokenizer");
    const count = (): number => {
      throw broken;
    };
    await expect(trimmed(chat, { count })).rejects.toBe(broken);
  });
});

describe("a summary", () => {
  test("is what is left of an answer that was begun anew", async () => {
    const model = retry(mockModel([["Half ", { error: new MillraceError("unavailable", "down") }], "Whole."]), { afterCommit: "restart", random: () => 0 });
    expect(await trimmed(chat, { maxTokens: 6, summary: model })).toContain("user: Whole.");
  });

  test("takes the place of what it was made of, as words of the user that are marked", async () => {
    const model = mockModel(["They counted ", "never"]);
    const parts = await run(trimHistory({ maxTokens: 6, toTokens: 3, count: perPart, summary: model }), chat).collect();
    expect(lines(parts)).toEqual(["system: brief", "user: They counted ", "user: three", "assistant: 3"]);
    expect(parts[1]?.metadata).toEqual({ trimHistory: { parts: 4 } });
    expect(lines(model.calls[0]?.input ?? [])).toEqual(["user: one", "assistant: 1", "user: two", "assistant: 2"]);
  });

  test("stands where the first of them stood, before and behind system parts", async () => {
    const history = [system("s"), text("one"), system("t"), says("1"), text("two"), says("2")];
    expect(await trimmed(history, { maxTokens: 5, summary: mockModel(["Short."]) })).toEqual(["system: s", "user: Short.", "system: t", "user: two", "assistant: 2"]);
  });

  test("is not made where everything fits", async () => {
    const model = mockModel([]);
    await trimmed(chat, { maxTokens: 7, summary: model });
    expect(model.calls).toEqual([]);
  });

  test("has a quarter of the room unless toTokens says otherwise", async () => {
    const long = Array.from({ length: 20 }, (_, at) => text(`${at}`)).flatMap((part) => [part, says("yes")]);
    expect(await trimmed(long, { maxTokens: 16, summary: mockModel(["Short."]) })).toHaveLength(13); // of 12 and the summary
  });

  test("is summed up itself the next time, and goes by itself: it does not hold on to the question behind it", async () => {
    const options = { maxTokens: 4, toTokens: 3, count: perPart };
    const once = await run(trimHistory({ ...options, summary: mockModel(["Old."]) }), chat.slice(1)).collect();
    expect(lines(once)).toEqual(["user: Old.", "user: three", "assistant: 3"]);
    expect(await trimmed(once, { ...options, maxTokens: 2, toTokens: 2 })).toEqual(["user: three", "assistant: 3"]);
    const model = mockModel(["Older."]);
    expect(await trimmed([...once, text("four"), says("4")], { ...options, summary: model })).toEqual(["user: Older.", "user: four", "assistant: 4"]);
    expect(lines(model.calls[0]?.input ?? [])).toEqual(["user: Old.", "user: three", "assistant: 3"]);
  });

  test("without room is too_large, one without text is bad_response", async () => {
    const wordy = (parts: readonly Part[]): number => parts.reduce((sum, part) => sum + (part.kind === "text" && part.text === "Endless." ? 100 : 1), 0);
    const endless = trimmed(chat, { maxTokens: 6, count: wordy, summary: mockModel(["Endless."]) });
    expect(await failure(endless)).toMatchObject({ code: "too_large", message: "trimHistory: 5 tokens are left and the summary makes them 105, 6 may be taken" });
    const silent = trimmed(chat, { maxTokens: 6, summary: mockModel([[{ reasoning: "hm" }]]) });
    expect(await failure(silent)).toMatchObject({ code: "bad_response", message: "trimHistory: the summary of 2 parts has no text" });
  });

  test("tells of its progress at once, and yields nothing else", async () => {
    const summary: Processor = async function* (input) {
      yield status("summing up");
      let count = 0;
      for await (const _ of input) count += 1;
      yield says("hm", { substream: "reasoning" });
      yield says(`${count} parts.`);
    };
    expect(await trimmed(chat, { maxTokens: 6, summary })).toEqual(["user/status: summing up", "system: brief", "user: 2 parts.", "user: two", "assistant: 2", "user: three", "assistant: 3"]);
  });

  test("is not asked for what the turn is asked for", async () => {
    const asked: unknown[] = [];
    const seen = (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part> => {
      asked.push(askedOf(context));
      return input;
    };
    const tools = [{ name: "time", parameters: { type: "object" } }];
    await run(asks(pipe(trimHistory({ maxTokens: 6, count: perPart, summary: seen }), seen), { tools }), chat).collect();
    expect(asked).toEqual(expect.arrayContaining([{}, { tools }]));
  });

  test("that fails fails the run with its error, and one that is left is closed", async () => {
    const broken = new Error("no summary");
    await expect(trimmed(chat, { maxTokens: 6, summary: mockModel([[{ error: broken }]]) })).rejects.toBe(broken);
    let closed = 0;
    const summary: Processor = async function* () {
      try {
        yield status("summing up");
        yield says("x");
      } finally {
        closed += 1;
      }
    };
    for await (const _ of run(trimHistory({ maxTokens: 6, count: perPart, summary }), chat)) break;
    expect(closed).toBe(1);
  });
});

test("options that are none are refused, by name", () => {
  const refused = (options: object): string | undefined => {
    try {
      trimHistory({ maxTokens: 10, count: perPart, ...options });
    } catch (error) {
      return isMillraceError(error, "invalid_input") ? / (\w+) must be/.exec(error.message)?.[1] : String(error);
    }
    return undefined;
  };
  const bad = [{ maxTokens: 0 }, { maxTokens: 1.5 }, { count: 4 }, { toTokens: 11 }, { toTokens: 0 }, { keep: 0 }, { summary: "x" }];
  expect(bad.map(refused)).toEqual(["maxTokens", "maxTokens", "count", "toTokens", "toTokens", "keep", "summary"]);
  expect(() => trimHistory(undefined as never)).toThrow(/^trimHistory: options must be an object/);
});

describe("of any history", () => {
  const part = fc.oneof(
    { weight: 3, arbitrary: fc.constant("user") },
    { weight: 3, arbitrary: fc.constant("assistant") },
    { weight: 1, arbitrary: fc.constant("system") },
    { weight: 3, arbitrary: fc.constantFrom("call a", "call b", "result a", "result b") },
  );
  const history = fc.array(part, { maxLength: 40 }).map((kinds) =>
    kinds.map((kind, at) => {
      const [what, id = ""] = kind.split(" ");
      if (what === "call") return call(id);
      if (what === "result") return result(id);
      return text(`${at}`, { role: what as "user" | "assistant" | "system" });
    }),
  );
  /** Calls with their results, by another way than the code: each result is of the last call of its id that waits. */
  const pairs = (parts: readonly Part[]): [Part, Part][] =>
    parts.flatMap((answer, at) => {
      if (answer.kind !== "toolResult") return [];
      let answered = 0;
      for (let back = at - 1; back >= 0; back -= 1) {
        const before = parts[back];
        if (before?.kind === "toolResult" && before.id === answer.id) answered += 1;
        else if (before?.kind === "toolCall" && before.id === answer.id) {
          if (answered === 0) return [[before, answer] as [Part, Part]];
          answered -= 1;
        }
      }
      return [];
    });

  test("what is left fits, is some of it in order, with all system parts, the last question and no call without its result", async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.integer({ min: 1, max: 45 }), fc.integer({ min: 1, max: 3 }), async (parts, maxTokens, keep) => {
        const trim = trimHistory({ maxTokens, keep, count: perPart });
        const left = await run(trim, parts).collect().catch((error: unknown) => error);
        const turns = turnsOf(parts);
        const last = Math.max(-1, ...turns);
        const must = parts.filter((_, at) => turns[at] === -1 || (turns[at] ?? 0) > last - keep);
        if (isMillraceError(left, "too_large")) {
          expect(must.length).toBeGreaterThan(maxTokens);
          return;
        }
        if (!Array.isArray(left)) throw left;
        const rest = left as Part[];
        expect(rest.length).toBeLessThanOrEqual(maxTokens);
        const places = rest.map((each) => parts.indexOf(each));
        expect(places).toEqual([...places].sort((a, b) => a - b));
        expect(places).not.toContain(-1);
        expect(must.filter((each) => !rest.includes(each))).toEqual([]);
        for (const [asked, answered] of pairs(parts)) expect(rest.includes(asked)).toBe(rest.includes(answered));
        expect(await run(trim, rest).collect()).toEqual(rest);
        // no turn more than needed is gone
        const gone = parts.filter((each) => !rest.includes(each));
        const newest = gone.at(-1);
        const back = newest === undefined ? [] : parts.filter((each, at) => rest.includes(each) || turns[at] === turns[parts.indexOf(newest)]);
        if (newest !== undefined) expect(back.length).toBeGreaterThan(maxTokens);
      }),
      { numRuns },
    );
  });
});
