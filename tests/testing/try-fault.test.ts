import { describe, expect, test } from "vitest";
import { MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import type { WireAsk, WireClient } from "../../src/testing/fault-meeting.ts";
import { type FaultOutcome, tryFault, type TryFaultOptions } from "../../src/testing/try-fault.ts";
import { openaiChatVoice as voice } from "../../src/testing/voices/openai-chat.ts";
import { type WireFaultCase, wireFaults } from "../../src/testing/wire-faults.ts";

const caseOf = (name: string, when: WireFaultCase["when"] = "before content"): WireFaultCase => {
  const found = wireFaults.find((fault) => fault.name === name && fault.when === when);
  if (found === undefined) throw new Error(`no case ${name}, ${when}`);
  return found;
};

const ask = ({ url, apiKey, prompt, signal }: WireAsk, more: RequestInit = {}): Promise<Response> =>
  fetch(url, { method: "POST", headers: { "x-api-key": apiKey }, body: JSON.stringify({ prompt }), signal, ...more });

/** The texts of a response, whatever becomes of it. */
async function* textsOf({ body }: Response): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of body ?? []) {
    rest += decoder.decode(bytes as Uint8Array, { stream: true });
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const text = /"content":"([^"]+)"/.exec(rest.slice(0, end))?.[1];
      rest = rest.slice(end + 2);
      if (text !== undefined) yield text;
    }
  }
}

/** Reads on whatever happens, and gives what it can read. */
const credulous: WireClient = async function* (asked) {
  yield* textsOf(await ask(asked));
};

/** Fails with this, once it has given what is sound. */
const failing = (error: (asked: WireAsk) => unknown): WireClient =>
  async function* (asked) {
    try {
      yield* textsOf(await ask(asked));
    } catch {}
    throw error(asked);
  };

const verdict = async (fault: WireFaultCase, client: WireClient, options?: TryFaultOptions): Promise<string> => (await tryFault(fault, voice, client, options)).verdict;

/** The same, patience being over once the client says that it is ready: for what never comes to pass. */
async function impatiently(fault: WireFaultCase, clientOf: (ready: () => void) => WireClient): Promise<FaultOutcome> {
  const clock = fakeClock();
  const ready = Promise.withResolvers<void>();
  let isOver = false;
  const outcome = tryFault(fault, voice, clientOf(ready.resolve), { clock }).finally(() => (isOver = true));
  await ready.promise;
  while (!isOver) await clock.advance(1_000);
  return outcome;
}

test("each case is there once, and those that strike an answer strike before and after content", () => {
  const ids = wireFaults.map(({ name, when }) => `${name}, ${when}`);
  expect(new Set(ids).size).toBe(ids.length);
  const names = (when: string): string[] => wireFaults.filter((fault) => fault.when === when).map(({ name }) => name);
  expect(names("after content").filter((name) => !names("before content").includes(name))).toEqual(["the consumer breaks off"]);
  expect(names("before content").filter((name) => !names("after content").includes(name))).toEqual([
    "200 with a page",
    "200 without a body",
    "401",
    "429 with Retry-After",
    "500",
    "503 at first, then an answer",
    "a redirect to another origin",
  ]);
});

test("after content every error is interrupted, with what it would have been before as its cause", () => {
  for (const { name, when, expects } of wireFaults) {
    if (when === "before content" || expects.shows !== "error") continue;
    expect(caseOf(name).expects).toEqual({ ...expects, code: expects.cause, cause: undefined });
  }
});

describe("a client is found to", () => {
  test.each(["the stream ends between events", "the stream ends inside an event", "an event holds broken JSON"])("end as if all were whole: %s", async (name) => {
    expect(await verdict(caseOf(name, "after content"), credulous)).toBe("ends as if whole");
  });

  test("end as if all were whole on a page", async () => expect(await verdict(caseOf("200 with a page"), credulous)).toBe("ends as if whole"));

  test("fail rawly", async () => expect(await verdict(caseOf("the connection breaks", "after content"), credulous)).toBe("raw error"));

  test("hang", async () => {
    const outcome = await impatiently(
      caseOf("nothing more comes", "after content"),
      (ready) =>
        async function* (asked) {
          for await (const text of credulous(asked)) {
            if (text === "the ") ready();
            yield text;
          }
        },
    );
    expect(outcome).toMatchObject({ verdict: "hangs", texts: ["Mince ", "the "], end: { how: "hangs" } });
  });

  test("leave its connection open after break", async () => {
    const outcome = await impatiently(caseOf("the consumer breaks off", "after content"), (ready) => (asked) => {
      const texts = credulous(asked)[Symbol.asyncIterator]();
      const next = async (): Promise<IteratorResult<string | Part>> => {
        const result = await texts.next();
        if (result.value === "the ") ready();
        return result;
      };
      return { [Symbol.asyncIterator]: () => ({ next }) }; // no return: nobody hears of the break
    });
    expect(outcome.verdict).toBe("socket stays open");
    expect(outcome).not.toHaveProperty("closedMs");
  });

  test("throw after break", async () => {
    const sore: WireClient = async function* (asked) {
      try {
        yield* textsOf(await ask(asked));
      } finally {
        await Promise.reject(new Error("left"));
      }
    };
    expect(await verdict(caseOf("the consumer breaks off", "after content"), sore)).toBe("throws after break");
  });

  test("reject an abort with another reason, and to swallow it", async () => {
    const fault = caseOf("the consumer aborts", "after content");
    expect(await verdict(fault, failing(() => new Error("aborted")))).toBe("another reason");
    const deaf: WireClient = async function* (asked) {
      try {
        yield* textsOf(await ask(asked));
      } catch {}
    };
    expect(await verdict(fault, deaf)).toBe("ends as if whole");
  });

  test("send key and prompt elsewhere", async () => {
    expect(await verdict(caseOf("a redirect to another origin"), credulous)).toBe("ends as if whole, key leaves, prompt leaves");
    const keyless: WireClient = async function* (asked) {
      yield* textsOf(await fetch(asked.url, { method: "POST", body: asked.prompt }));
    };
    expect(await verdict(caseOf("a redirect to another origin"), keyless)).toBe("ends as if whole, prompt leaves");
  });

  test("ask again by itself", async () => {
    const stubborn: WireClient = async function* (asked) {
      let response = await ask(asked);
      for (let attempt = 1; attempt < 3 && !response.ok; attempt += 1) response = await ask(asked);
      if (!response.ok) throw Object.assign(new Error("no"), { status: response.status });
      yield* textsOf(response);
    };
    const options: TryFaultOptions = { codeOf: () => "unavailable" };
    expect(await verdict(caseOf("500"), stubborn, options)).toBe("asks 3 times");
    expect(await verdict(caseOf("503 at first, then an answer"), stubborn, options)).toBe("asks 2 times");
  });

  test("lose what had come", async () => {
    const mute: WireClient = async function* (asked) {
      const texts: string[] = [];
      for await (const text of textsOf(await ask(asked))) texts.push(text);
      yield* texts.slice(1);
    };
    expect(await verdict(caseOf("the stream ends between events", "after content"), mute)).toBe("ends as if whole, loses content");
  });

  test("show the key", async () => {
    const open: WireClient = failing(({ apiKey }) => new MillraceError("unavailable", "no", { cause: new Error(`with ${apiKey}`), status: 500 }));
    expect(await verdict(caseOf("500"), open)).toBe("shows the key");
  });

  test("say something else", async () => {
    const saying = (error: MillraceError) => verdict(caseOf("429 with Retry-After"), failing(() => error));
    expect(await saying(new MillraceError("unavailable", "no"))).toBe("says unavailable");
    expect(await saying(new MillraceError("rate_limited", "no", { status: 429 }))).toBe("says retryAfterMs: undefined");
    expect(await saying(new MillraceError("rate_limited", "no", { status: 420, retryable: false, retryAfterMs: 1_000 }))).toBe("says retryable: false, says status 420");
    const after = (error: unknown) => verdict(caseOf("the connection breaks", "after content"), failing(() => error));
    expect(await after(new MillraceError("unavailable", "no"))).toBe("says unavailable");
    expect(await after(new MillraceError("interrupted", "no"))).toBe("says interrupted");
    expect(await after(new MillraceError("interrupted", "no", { cause: new MillraceError("truncated", "no") }))).toBe("says interrupted of truncated");
  });
});

describe("a client is right", () => {
  test("whose error says what happened, as read by codeOf where it is none of ours", async () => {
    const after = (error: unknown, options?: TryFaultOptions) => verdict(caseOf("the connection breaks", "after content"), failing(() => error), options);
    expect(await after(new MillraceError("interrupted", "no", { cause: new MillraceError("unavailable", "no") }))).toBe("right");
    expect(await after(new Error("reset"), { codeOf: () => "unavailable" })).toBe("right");
    expect(await after(new Error("reset"), { codeOf: () => "truncated" })).toBe("says truncated");
  });

  test("that gives up by the clock it was given, and closes", async () => {
    for (const when of ["before content", "after content"] as const) {
      const patient: WireClient = async function* (asked) {
        const late = new AbortController();
        const timeout = new MillraceError("timeout", "no");
        const arm = (): (() => void) => asked.clock.timeout(300_000, () => late.abort(when === "before content" ? timeout : new MillraceError("interrupted", "no", { cause: timeout })));
        let cancel = arm();
        for await (const text of textsOf(await ask(asked, { signal: late.signal }))) {
          cancel();
          yield text;
          cancel = arm();
        }
      };
      const outcome = await tryFault(caseOf("nothing more comes", when), voice, patient);
      expect(outcome.verdict).toBe("right");
      expect(outcome.closedMs).toBeGreaterThanOrEqual(0);
    }
  });

  test("that is left time before it is aborted, as long as it is to be", async () => {
    const clock = fakeClock();
    const signalled = Promise.withResolvers<AbortSignal>();
    const outcome = tryFault(
      caseOf("the consumer aborts", "after content"),
      voice,
      async function* (asked) {
        for await (const text of credulous(asked)) {
          if (text === "the ") signalled.resolve(asked.signal);
          yield text;
        }
      },
      { clock, settleMs: 100, patienceMs: 1_000 },
    );
    const signal = await signalled.promise;
    await clock.advance(99);
    expect(signal.aborted).toBe(false);
    while (!signal.aborted) await clock.advance(1); // the answer may have been sent later than it was heard
    await outcome;
    expect(clock.now()).toBeGreaterThanOrEqual(100);
  });

  test("that passes on the reason of an abort", async () => {
    for (const when of ["before content", "after content"] as const) {
      const reasonable: WireClient = async function* (asked) {
        try {
          yield* textsOf(await ask(asked));
        } catch {
          throw asked.signal.reason;
        }
      };
      expect(await verdict(caseOf("the consumer aborts", when), reasonable)).toBe("right");
    }
  });
});
