/** What every model makes of bytes: cut anywhere, and broken anywhere. */
import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { seeded, type Split, splitBytes } from "../../src/testing/split-bytes.ts";
import { wireServer } from "./checked-server.ts";
import type { FaultyApi } from "./model-faults.ts";
import { collect, input, prompt } from "./openai/support.ts";

/** One, two, three and four bytes a character, and one character of several code points. */
const deltas = ["Grüße ", "aus 東京 ", "👩‍👩‍👧‍👦", "\r\n\u2028", "\u0000end"];

export type LineEnd = "\n" | "\r\n" | "\r";

/** An API whose frames may end their lines in several ways, with pings between them. */
export interface BytesApi extends FaultyApi {
  readonly contentType: string;
  readonly lineEnds: readonly LineEnd[];
  /** An answer with everything in it, to be mutated. @default one of text */
  rich?(lineEnd: LineEnd): string[];
  /** What the bytes of a whole answer hold somewhere. */
  readonly end: RegExp;
}

const hasEnd = (api: BytesApi, bytes: Uint8Array): boolean => api.end.test(new TextDecoder().decode(bytes));

/** A body in exactly these pieces, as a client might receive it. */
export const bodyOf = (pieces: Iterable<Uint8Array>, type = "text/event-stream"): typeof fetch => async () => {
  const iterator = pieces[Symbol.iterator]();
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const { done, value } = iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
  });
  return new Response(stream, { headers: { "content-type": type } });
};

/** Runs of each property. */
const runs = Number(process.env.PROPERTY_RUNS ?? 200);

/** Any split of the same bytes gives the same parts; any change of them ends as complete or as an error with a code. */
export function modelBytes(api: BytesApi): void {
  const framesOf = (texts: readonly string[], lineEnd: LineEnd = "\n"): string[] => api.voice.frames(texts, { lineEnd, comment: "ping" });
  const wire = (lineEnd: LineEnd): Uint8Array => new TextEncoder().encode(framesOf(deltas, lineEnd).join(""));
  const reply = (pieces: Iterable<Uint8Array>): Promise<Part[]> => collect(api.model("http://127.0.0.1:1", { fetch: bodyOf(pieces, api.contentType) })(input(prompt)));

  describe(`${api.name}: the same bytes give the same parts`, () => {
    const splits: readonly Split[] = ["whole", 1, 2, 7];
    for (const lineEnd of api.lineEnds) {
      for (const split of splits) {
        test(`cut at ${split}, lines ended by ${JSON.stringify(lineEnd)}`, async () => {
          const parts = await reply(splitBytes(wire(lineEnd), split));
          expect(parts.map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual([...deltas, "finish"]);
        });
      }
    }

    test(`cut by chance, ${runs} seeds`, async () => {
      const whole = await reply([wire("\r\n")]);
      for (let seed = 1; seed <= runs; seed += 1) {
        expect(await reply(splitBytes(wire("\r\n"), { seed })), `seed ${seed}`).toEqual(whole);
      }
    });

    for (const split of [1, 2, 7, { seed: 7 }] as const) {
      test(`through a socket, written in pieces of ${JSON.stringify(split)}`, async () => {
        await using server = await wireServer({ answer: api.voice.answer(framesOf(deltas), { split }) });
        expect((await collect(api.model(server.url)(input(prompt)))).map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual([...deltas, "finish"]);
      });
    }

    test("no beginning of it looks whole, and what it gave is a beginning of what was said", async () => {
      const whole = wire("\n");
      const step = Math.max(1, Math.floor(whole.length / (runs * 5)));
      for (let length = 0; length < whole.length; length += step) {
        const said: string[] = [];
        let complete = false;
        try {
          for await (const part of api.model("http://127.0.0.1:1", { fetch: bodyOf([whole.subarray(0, length)], api.contentType) })(input(prompt))) {
            if (part.kind === "text") said.push(part.text);
            complete = part.kind === "finish";
          }
        } catch (error) {
          expect(isMillraceError(error), `${length} bytes`).toBe(true);
        }
        expect(said, `${length} bytes`).toEqual(deltas.slice(0, said.length));
        if (complete) expect(hasEnd(api, whole.subarray(0, length)), `${length} bytes`).toBe(true);
      }
    });

    test("20,000 events in one chunk", async () => {
      const many = Array.from({ length: 20_000 }, (_, index) => `${index} `);
      const parts = await reply([new TextEncoder().encode(framesOf(many).join(""))]);
      expect(parts.length).toBe(20_001);
      expect(parts[19_999]).toMatchObject({ text: "19999 " });
    });
  });

  test(`${api.name}: ${runs * 5} mutated streams end as complete or as an error with a code, and show neither key nor prompt`, async () => {
    const sound = api.rich === undefined ? wire("\n") : new TextEncoder().encode(api.rich("\n").join(""));
    const random = seeded(20_261_124);
    const clock = fakeClock(); // nothing may wait for a clock to be let go
    const outcomes = new Map<string, number>();
    for (let round = 0; round < runs * 5; round += 1) {
      const bytes = mutated(sound, random);
      let outcome = "complete";
      try {
        const parts = await collect(api.model("http://127.0.0.1:1", { clock, fetch: bodyOf(splitBytes(bytes, { seed: round }), api.contentType) })(input(prompt)));
        expect(parts.at(-1)?.kind).toBe("finish");
        // Nothing is lost unsaid: a mutation may change words or repeat them, but only an answer with its terminal event is whole.
        expect(hasEnd(api, bytes), `round ${round}`).toBe(true);
      } catch (error) {
        if (!isMillraceError(error)) throw error;
        const inner = error.code === "interrupted" ? error.cause : error;
        if (!isMillraceError(inner)) throw inner;
        outcome = inner.code;
        for (const message of [error.message, inner.message]) {
          expect(message).not.toContain(api.apiKey);
          expect(message).not.toContain(prompt.slice(0, 24));
        }
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    expect(clock.pending).toBe(0);
    // The mutations do bite, and not all in one way.
    for (const kind of ["complete", "truncated", "bad_response"]) expect(outcomes.get(kind) ?? 0, kind).toBeGreaterThan(runs / 20);
  });

  test(`${api.name}: a connection serves turn after turn`, async () => {
    await using server = await wireServer({ answer: api.voice.answer(framesOf(["a"])) });
    const model = api.model(server.url);
    for (let turn = 0; turn < 8; turn += 1) await collect(model(input(prompt)));
    expect(server.requests.length).toBe(8);
    expect(server.connections).toBeLessThan(4); // undici opens a second one before the first is seen to be free
  });

  test(`${api.name}: a server that goes on after the end is left`, async () => {
    const clock = fakeClock();
    await using server = await wireServer();
    server.script(api.voice.answer([...framesOf(["a"]), api.voice.ping], { fault: { kind: "stall", after: 99 } }));
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
