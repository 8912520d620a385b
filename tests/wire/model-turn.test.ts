import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { status, text } from "../../src/core/constructors.ts";
import { MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { outcomeOf, streamOf } from "../../src/testing/contracts/watch.ts";
import { lifetime } from "../../src/wire/lifetime.ts";
import { type ModelProtocol, modelTurn } from "../../src/wire/model-turn.ts";

/** A service that sends these parts and then an error. */
const breaking = (parts: readonly Part[], error: unknown): ModelProtocol<readonly Part[]> => ({
  service: "example",
  toBody: () => parts,
  prepare: () =>
    Promise.resolve({
      secrets: [],
      send: async (body) =>
        (async function* () {
          yield* body;
          throw error;
        })(),
    }),
  reader: () => ({ read: (part) => [part as Part], steps: 0, complete: false, final: false, end: () => undefined, usage: {} }),
  errorOf: () => undefined,
});

const settings = { clock: systemClock, connectMs: 60_000, firstPartMs: 60_000, idleMs: 60_000, life: lifetime("example", () => Promise.resolve()) };

test("R1: what fails behind a status is the fault itself, what fails behind content is interrupted", async () => {
  const fault = new MillraceError("unavailable", "example: down");
  const early = await outcomeOf(modelTurn(breaking([status("queued")], fault), settings, streamOf(text("hi")), undefined));
  expect(early.parts.map(({ substream }) => substream)).toEqual(["status"]);
  expect(early.error).toBe(fault);
  const late = await outcomeOf(modelTurn(breaking([status("queued"), text("Hel"), status("slow"), text("lo")], fault), settings, streamOf(text("hi")), undefined));
  expect(late.error).toMatchObject({ code: "interrupted", cause: fault, partial: { parts: 2, text: "Hello" } });
});
