/** What an event of each service says, by its name and its data. */
import { describe, expect, test } from "vitest";
import { streamEvent as anthropicEvent } from "../../src/wire/anthropic/stream-event.ts";
import { streamEvent as geminiEvent } from "../../src/wire/gemini/stream-event.ts";
import { streamEvent as openaiEvent } from "../../src/wire/openai/stream-event.ts";

const reporting = { service: "example", model: "m", redact: (text: string) => text.replaceAll("secret", "…") };

/** The error, if it is one. */
function thrown(work: () => unknown): unknown {
  try {
    return { said: work() };
  } catch (error) {
    return error;
  }
}

for (const [name, eventOf] of [
  ["OpenAI", openaiEvent],
  ["Anthropic", anthropicEvent],
  ["Gemini", geminiEvent],
] as const) {
  describe(`${name}'s events`, () => {
    test("that are no JSON are bad, and the error does not quote them", () => {
      const error = thrown(() => eventOf({ name: "", data: '{"text":"private' }, reporting));
      expect(error).toMatchObject({ code: "bad_response", retryable: true });
      expect(error).not.toHaveProperty("cause");
      expect(String(error)).not.toContain("private");
    });

    test("that are called errors are some, in whatever form, and quote no secret", () => {
      for (const body of [{ error: { message: "down, secret" } }, { message: "down, secret" }]) {
        expect(thrown(() => eventOf({ name: "error", data: JSON.stringify(body) }, reporting))).toMatchObject({ code: "unavailable", message: "example: m reported: down, …" });
      }
    });

    test("of any other name say what their data says", () => {
      for (const named of ["", "message", "ping", "response.created"]) {
        const said = { type: "x", error: null };
        expect(eventOf({ name: named, data: JSON.stringify(said) }, reporting)).toEqual(name === "Gemini" ? { chunk: said, rawArguments: [] } : said);
      }
    });
  });
}

test("an event of OpenAI's that holds an error is one, whatever its type", () => {
  for (const error of ["overloaded", { message: "overloaded" }]) {
    expect(thrown(() => openaiEvent({ name: "x", data: JSON.stringify({ type: "x", error }) }, reporting))).toMatchObject({ message: "example: m reported: overloaded" });
  }
  expect(openaiEvent({ name: "", data: '{"error":""}' }, reporting)).toEqual({ error: "" });
});

test("an error of Anthropic's need not be JSON", () => {
  for (const data of ["down", "null"]) expect(thrown(() => anthropicEvent({ name: "error", data }, reporting))).toMatchObject({ message: `example: m reported: ${data}` });
});

test("an event that holds nothing is passed over, but for OpenAI, where it is no JSON", () => {
  const event = { name: "", data: "" };
  expect(anthropicEvent(event, reporting)).toBeUndefined();
  expect(geminiEvent(event, reporting)).toBeUndefined();
  expect(thrown(() => openaiEvent(event, reporting))).toMatchObject({ code: "bad_response" });
});
