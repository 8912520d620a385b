/** How a turn reads the events of an answer: decoded here, or by a client that reads the body by itself. */
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { text } from "../../src/core/constructors.ts";
import { MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { outcomeOf, streamOf } from "../../src/testing/contracts/watch.ts";
import { sseFrame } from "../../src/testing/wire-answers.ts";
import type { Exchange } from "../../src/wire/exchange.ts";
import { lifetime } from "../../src/wire/lifetime.ts";
import { type AnswerReader, modelTurn, type Sender, type TurnSettings } from "../../src/wire/model-turn.ts";
import type { SseEvent } from "../../src/wire/sse-decoder.ts";

/** An event says its data, and nothing when that is "quiet". */
const eventOf = ({ data }: SseEvent): string | undefined => (data === "quiet" ? undefined : data);

/** A part for each event but "quiet" ones; "end" is the terminal one, "bad" an error. */
function reader(): AnswerReader {
  let steps = 0;
  let final = false;
  return {
    read(event) {
      if (event === "bad") throw new MillraceError("bad_response", "example: bad");
      if (event === "quiet") return [];
      if (event === "end") final = true;
      else steps += 1;
      return event === "end" ? [] : [text(String(event), { role: "assistant" })];
    },
    get steps() {
      return steps;
    },
    get complete() {
      return final;
    },
    get final() {
      return final;
    },
    end: ({ done }) => (final || done ? [text(done ? "marked" : "final")] : undefined),
    usage: {},
  };
}

/** A client in the plainest way, which reads the body by itself. */
async function* plainClient(exchange: Exchange): AsyncGenerator<string> {
  const { body } = await exchange.fetch("http://127.0.0.1:1");
  const decoder = new TextDecoder();
  let unread = "";
  for await (const bytes of body ?? []) {
    unread += decoder.decode(bytes, { stream: true });
    for (let end = unread.indexOf("\n\n"); end >= 0; end = unread.indexOf("\n\n")) {
      const data = unread.slice("data: ".length, end);
      unread = unread.slice(end + 2);
      if (data !== "[DONE]" && data !== "quiet") yield data;
    }
  }
}

/** A client that only asks. */
const asking: Pick<Sender<string>, "send" | "eventOf"> = {
  async send(_, exchange) {
    const { body } = await exchange.fetch("http://127.0.0.1:1");
    return (async function* () {
      for await (const bytes of body ?? []) yield bytes; // there are none
    })();
  },
  eventOf,
};
const reading: Pick<Sender<string>, "send"> = { send: async (_, exchange) => plainClient(exchange) };

const life = lifetime("example", () => Promise.resolve());

interface Turn {
  readonly parts: AsyncGenerator<Part, void, undefined>;
  /** Chunks that were read of the body. */
  readonly read: () => number;
  readonly isCancelled: () => boolean;
}

/** A turn whose answer comes in these chunks, or breaks. */
function turn(sender: Pick<Sender<string>, "send" | "eventOf">, chunks: readonly (string | Error)[], settings: Partial<TurnSettings> = {}, signal?: AbortSignal): Turn {
  let read = 0;
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[read];
        read += 1;
        if (chunk === undefined) controller.close();
        else if (chunk instanceof Error) controller.error(chunk);
        else controller.enqueue(new TextEncoder().encode(chunk));
      },
      cancel() {
        isCancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  const fetch = async (): Promise<Response> => new Response(body, { headers: { "content-type": "text/event-stream" } });
  const protocol = { service: "example", toBody: () => "", prepare: () => Promise.resolve({ secrets: [], ...sender }), reader, errorOf: () => undefined };
  const times = { clock: systemClock, connectMs: 60_000, firstPartMs: 60_000, idleMs: 60_000 };
  const context = signal && { signal, correlationId: "c", runId: "r", state: new Map(), waitUntil: () => {} };
  return { parts: modelTurn(protocol, { ...times, life, fetch, ...settings }, streamOf(text("hi")), context), read: () => read, isCancelled: () => isCancelled };
}

const frames = (...data: readonly string[]): string => data.map((each) => sseFrame(each)).join("");
const textsOf = (parts: readonly Part[]): string[] => parts.map((part) => (part.kind === "text" ? part.text : part.kind));

for (const [name, sender] of [
  ["events that are decoded here", asking],
  ["a client that reads by itself", reading],
] as const) {
  describe(name, () => {
    const outcome = async (chunks: readonly (string | Error)[], settings?: Partial<TurnSettings>): Promise<{ readonly texts: readonly string[]; readonly error: unknown }> => {
      const { parts, error } = await outcomeOf(turn(sender, chunks, settings).parts);
      return { texts: textsOf(parts), error };
    };

    test("give the parts of every event, however they are cut", async () => {
      expect(await outcome([frames("a", "quiet", "b").slice(0, 9), `${frames("a", "quiet", "b").slice(9)}: ping\n\n`, frames("c", "end", "lost")])).toEqual({ texts: ["a", "b", "c", "final"], error: undefined });
    });

    test("[DONE] is told, also without a line end", async () => {
      expect((await outcome([frames("a", "[DONE]")])).texts).toEqual(["a", "marked"]);
      expect((await outcome([frames("a"), "data: [DONE]"])).texts).toEqual(["a", "marked"]);
    });

    test("what fails behind others in a chunk fails behind their parts", async () => {
      const { texts, error } = await outcome([frames("a", "b", "bad", "c")]);
      expect(texts).toEqual(["a", "b"]);
      expect(error).toMatchObject({ code: "interrupted", cause: { code: "bad_response" }, partial: { parts: 2, text: "ab" } });
    });

    test("a body that ends within an event, or without the terminal one, is truncated", async () => {
      expect((await outcome(["data: a"])).error).toMatchObject({ code: "truncated", message: "example: the answer ends within an event" });
      expect((await outcome([frames("a")])).error).toMatchObject({ code: "interrupted", cause: { code: "truncated" } });
    });

    test("a body that breaks is unavailable, but where the caller's fetch says what it is", async () => {
      const own = new MillraceError("rate_limited", "gateway: enough");
      expect((await outcome([frames("a"), own])).error).toMatchObject({ code: "interrupted", cause: own });
      expect((await outcome([frames("a"), new TypeError("terminated")])).error).toMatchObject({ code: "interrupted", cause: { code: "unavailable" } });
    });

    test("an event above the limit is too large, whole or not, others are not", async () => {
      const maxEventBytes = 20;
      expect((await outcome([frames("a"), frames("x".repeat(15), "end")], { maxEventBytes })).error).toMatchObject({ cause: { code: "too_large" } });
      expect((await outcome([`data: ${"x".repeat(15)}`, "x"], { maxEventBytes })).error).toMatchObject({ code: "too_large" });
      expect((await outcome([frames(...Array.from({ length: 9 }, () => "x".repeat(14)), "end")], { maxEventBytes })).error).toBeUndefined();
    });

    test("nothing is read ahead: what a chunk brought goes out first, and a part before the next chunk is read", async () => {
      const { parts, read } = turn(sender, [frames("a", "b"), frames("c"), frames("end")]);
      const reads: number[] = [];
      for await (const _ of parts) reads.push(read());
      expect(reads).toEqual([1, 1, 2, 3]);
    });

    test("an abort between two parts of a chunk rejects with the reason", async () => {
      const controller = new AbortController();
      const { parts, isCancelled } = turn(sender, [frames("a", "b", "end")], {}, controller.signal);
      expect(await parts.next()).toMatchObject({ value: { text: "a" } });
      const reason = { why: "enough" };
      controller.abort(reason);
      await expect(parts.next()).rejects.toBe(reason);
      expect(isCancelled()).toBe(true);
    });

    test("leaving between two parts of a chunk lets go of the body", async () => {
      const { parts, isCancelled } = turn(sender, [frames("a", "b", "end")]);
      for await (const _ of parts) break;
      expect(isCancelled()).toBe(true);
    });

    test("a consumer that holds a part of a chunk for long is not a slow provider", async () => {
      const clock = fakeClock();
      const texts: string[] = [];
      for await (const part of turn(sender, [frames("a", "b"), frames("c"), frames("end")], { clock, firstPartMs: 1_000, idleMs: 1_000 }).parts) {
        texts.push(...textsOf([part]));
        await clock.advance(60_000);
      }
      expect(texts).toEqual(["a", "b", "c", "final"]);
      expect(clock.pending).toBe(0);
    });
  });
}

test("events of a client that asks by itself are signs of life, also those without content", async () => {
  const clock = fakeClock();
  async function* slow(): AsyncGenerator<string> {
    yield "a";
    for (let at = 0; at < 3; at += 1) {
      await clock.sleep(900);
      yield "quiet";
    }
    yield "end";
  }
  const pending = outcomeOf(turn({ send: async () => slow() }, [], { clock, idleMs: 1_000 }).parts);
  for (let at = 0; at < 3; at += 1) await clock.advance(900);
  const { parts, error } = await pending;
  expect(error).toBeUndefined();
  expect(textsOf(parts)).toEqual(["a", "final"]);
});
