/** What every model makes of bytes: cut anywhere, and broken anywhere. */
import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { seeded, type Split, splitBytes } from "../../src/testing/split-bytes.ts";
import { wireServer } from "./checked-server.ts";
import type { FaultyApi, FaultyOptions } from "./model-faults.ts";
import { collect, input, prompt } from "./openai/support.ts";
import { plainReading, type Reading } from "./plain-reading.ts";

/** One, two, three and four bytes a character, and one character of several code points. */
const deltas = ["Grüße ", "aus 東京 ", "👩‍👩‍👧‍👦", "\r\n\u2028", "\u0000end"];

export type LineEnd = "\n" | "\r\n" | "\r";

/** An API whose frames may end their lines in several ways, with pings between them. */
export interface BytesApi extends FaultyApi {
  readonly contentType: string;
  readonly lineEnds: readonly LineEnd[];
  /** An answer with everything in it, to be mutated. @default one of text */
  rich?(lineEnd: LineEnd): string[];
}

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
  const readingOf = (bytes: Uint8Array): Reading => plainReading(api.path, api.contentType, bytes);
  /** The texts of an answer, and how it failed if it did; one that did not ends with a finish part. */
  const outcomeOf = async (pieces: Iterable<Uint8Array>, options: FaultyOptions = {}): Promise<{ readonly texts: readonly string[]; readonly error: unknown }> => {
    const texts: string[] = [];
    let last: Part | undefined;
    try {
      for await (last of api.model("http://127.0.0.1:1", { ...options, fetch: bodyOf(pieces, api.contentType) })(input(prompt))) if (last.kind === "text" && last.substream === "") texts.push(last.text);
    } catch (error) {
      return { texts, error };
    }
    expect(last?.kind).toBe("finish");
    return { texts, error: undefined };
  };

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

    test(`cut by chance, ${runs * 5} seeds`, async () => {
      const whole = await reply([wire("\r\n")]);
      for (let seed = 1; seed <= runs * 5; seed += 1) {
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
        const { texts, error } = await outcomeOf([whole.subarray(0, length)]);
        expect(error === undefined || isMillraceError(error), `${length} bytes`).toBe(true);
        expect(texts, `${length} bytes`).toEqual(deltas.slice(0, texts.length));
        if (error === undefined) expect(readingOf(whole.subarray(0, length)), `${length} bytes`).toEqual({ text: deltas.join(""), complete: true });
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
      const reading = readingOf(bytes);
      const { texts, error } = await outcomeOf(splitBytes(bytes, { seed: round }), { clock });
      let outcome = "complete";
      if (error === undefined) {
        // A mutation may change words or repeat them; whatever the events then say, all of it is there.
        expect({ text: texts.join(""), complete: true }, `round ${round}`).toEqual(reading);
      } else {
        const fault = isMillraceError(error, "interrupted") ? error.cause : error;
        if (!isMillraceError(error) || !isMillraceError(fault)) throw error;
        outcome = fault.code;
        expect(reading.text.startsWith(texts.join("")), `round ${round}`).toBe(true);
        for (const message of [error.message, fault.message]) {
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

/** Cut, repeated, overwritten, shortened or swapped somewhere, or with a line end where there was none. */
function mutated(bytes: Uint8Array, random: () => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = (): number => Math.floor(random() * copy.length);
  const from = at();
  const to = from + Math.floor(random() * 60);
  switch (Math.floor(random() * 6)) {
    case 0:
      return copy.subarray(0, from);
    case 1:
      return Uint8Array.of(...copy.subarray(0, to), ...copy.subarray(from));
    case 2:
      for (let count = 0; count < 4; count += 1) copy[at()] = Math.floor(random() * 256);
      return copy;
    case 3:
      return Uint8Array.of(...copy.subarray(0, from), ...copy.subarray(to));
    case 4:
      return Uint8Array.of(...copy.subarray(0, from), ...copy.subarray(to, to + 60), ...copy.subarray(from, to), ...copy.subarray(to + 60));
    default:
      copy[from] = 10;
      return copy;
  }
}
