import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { seeded, type Split, splitBytes } from "../../src/testing/split-bytes.ts";
import { sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { apis, collect, input, key, prompt } from "./openai/support.ts";

/** One, two, three and four bytes a character, and one character of several code points. */
const deltas = ["Grüße ", "aus 東京 ", "👩‍👩‍👧‍👦", "\r\n\u2028", "\u0000end"];

/** A body in exactly these pieces, as a client might receive it. */
const bodyOf = (pieces: Iterable<Uint8Array>): typeof fetch => async () => {
  const iterator = pieces[Symbol.iterator]();
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const { done, value } = iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
  });
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
};

for (const api of apis) {
  const wire = (lineEnd: "\n" | "\r\n" | "\r"): Uint8Array => new TextEncoder().encode(api.frames(deltas, { lineEnd, comment: "ping" }).join(""));
  const reply = (pieces: Iterable<Uint8Array>): Promise<Part[]> => collect(api.model("http://127.0.0.1:1", { fetch: bodyOf(pieces) })(input(prompt)));

  describe(`${api.name}: the same bytes give the same parts`, () => {
    const splits: readonly Split[] = ["whole", 1, 2, 7];
    for (const lineEnd of ["\n", "\r\n", "\r"] as const) {
      for (const split of splits) {
        test(`cut at ${split}, lines ended by ${JSON.stringify(lineEnd)}`, async () => {
          const parts = await reply(splitBytes(wire(lineEnd), split));
          expect(parts.map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual([...deltas, "finish"]);
        });
      }
    }

    test("cut by chance, 200 seeds", async () => {
      const whole = await reply([wire("\r\n")]);
      for (let seed = 1; seed <= 200; seed += 1) {
        expect(await reply(splitBytes(wire("\r\n"), { seed })), `seed ${seed}`).toEqual(whole);
      }
    });

    for (const split of [1, 2, 7, { seed: 7 }] as const) {
      test(`through a socket, written in pieces of ${JSON.stringify(split)}`, async () => {
        await using server = await wireServer({ answer: sseAnswer(api.frames(deltas), { split }) });
        expect((await collect(api.model(server.url)(input(prompt)))).map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual([...deltas, "finish"]);
      });
    }

    test("20,000 events in one chunk", async () => {
      const many = Array.from({ length: 20_000 }, (_, index) => `${index} `);
      const parts = await reply([new TextEncoder().encode(api.frames(many).join(""))]);
      expect(parts.length).toBe(20_001);
      expect(parts[19_999]).toMatchObject({ text: "19999 " });
    });
  });

  test(`${api.name}: 1,000 mutated streams end as complete or as an error with a code, and show neither key nor prompt`, async () => {
    const sound = wire("\n");
    const random = seeded(20_261_124);
    const clock = fakeClock(); // nothing may wait for a clock to be let go
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 1_000; round += 1) {
      const bytes = mutated(sound, random);
      let outcome = "complete";
      try {
        const parts = await collect(api.model("http://127.0.0.1:1", { clock, fetch: bodyOf(splitBytes(bytes, { seed: round })) })(input(prompt)));
        expect(parts.at(-1)?.kind).toBe("finish");
      } catch (error) {
        if (!isMillraceError(error)) throw error;
        const inner = error.code === "interrupted" ? error.cause : error;
        if (!isMillraceError(inner)) throw inner;
        outcome = inner.code;
        for (const message of [error.message, inner.message]) {
          expect(message).not.toContain(key);
          expect(message).not.toContain(prompt.slice(0, 24));
        }
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    expect(clock.pending).toBe(0);
    // The mutations do bite, and not all in one way.
    for (const kind of ["complete", "truncated", "bad_response"]) expect(outcomes.get(kind) ?? 0, kind).toBeGreaterThan(20);
  });

  test(`${api.name}: a connection serves turn after turn`, async () => {
    await using server = await wireServer({ answer: sseAnswer(api.frames(["a"])) });
    const model = api.model(server.url);
    for (let turn = 0; turn < 8; turn += 1) await collect(model(input(prompt)));
    expect(server.requests.length).toBe(8);
    expect(server.connections).toBeLessThan(4); // undici opens a second one before the first is seen to be free
  });

  test(`${api.name}: a server that goes on after the end is left`, async () => {
    const clock = fakeClock();
    await using server = await wireServer();
    server.script(sseAnswer([...api.frames(["a"]), ": more\n\n"], { fault: { kind: "stall", after: 99 } }));
    const parts = api.model(server.url, { clock })(input(prompt))[Symbol.asyncIterator]();
    await parts.next();
    expect(await parts.next()).toMatchObject({ value: { kind: "finish" } });
    const last = parts.next();
    await clock.advance(300);
    expect(await last).toMatchObject({ done: true });
    await server.requests[0]?.closed;
  });
}

/** Cut, repeated, swapped or overwritten somewhere. */
function mutated(bytes: Uint8Array, random: () => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = (): number => Math.floor(random() * copy.length);
  switch (Math.floor(random() * 5)) {
    case 0:
      return copy.subarray(0, at());
    case 1: {
      const from = at();
      return Uint8Array.of(...copy.subarray(0, from), ...copy.subarray(Math.max(0, from - 80)));
    }
    case 2:
      for (let count = 0; count < 4; count += 1) copy[at()] = Math.floor(random() * 256);
      return copy;
    case 3: {
      const from = at();
      return Uint8Array.of(...copy.subarray(0, from), ...copy.subarray(from + Math.floor(random() * 60)));
    }
    default:
      copy[at()] = 10;
      return copy;
  }
}
