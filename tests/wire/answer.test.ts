import { describe, expect, test } from "vitest";
import { isMillraceError, MillraceError } from "../../src/core/errors.ts";
import { checkAnswer, maxErrorBytes } from "../../src/wire/answer.ts";
import { redaction } from "../../src/wire/redact.ts";

const accept = "text/event-stream";
const expected = {
  service: "some",
  accept,
  redact: redaction({ secrets: ["hunter2"] }),
  errorOf: (body: unknown) => (typeof body === "object" && body !== null && "error" in body ? new MillraceError("rate_limited", `some: ${String(body.error)}`) : undefined),
};

/** What the check says of an answer. */
async function said(response: Response): Promise<MillraceError | "good"> {
  try {
    await checkAnswer(response, expected);
    return "good";
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return error;
  }
}

const answer = (body: BodyInit | null, type: string | undefined, init: ResponseInit = {}): Response => {
  const response = new Response(body, init);
  response.headers.delete("content-type");
  if (type !== undefined) response.headers.set("content-type", type);
  return response;
};

describe("an answer that is good", () => {
  test.each(["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream"])("has the type that was asked for: %s", async (type) => {
    const response = answer("data: 1\n\n", type);
    expect(await said(response)).toBe("good");
    expect(await response.text()).toBe("data: 1\n\n");
  });

  test.each(["identity", "gzip", "gzip, identity", " , br"])("is encoded at most once: %s", async (encoding) => {
    expect(await said(answer("x", accept, { headers: { "content-encoding": encoding } }))).toBe("good");
  });
});

test.each([400, 401, 404, 429, 500, 503])("status %i is left to the client, of whatever type and with its body unread", async (status) => {
  const response = answer("<h1>no</h1>", "text/html", { status });
  expect(await said(response)).toBe("good");
  expect(await response.text()).toBe("<h1>no</h1>");
});

describe("an answer that is none", () => {
  test.each([300, 301, 302, 303, 307, 308])("M57: a redirect, %i, which is not followed", async (status) => {
    expect(await said(answer(null, undefined, { status, headers: { location: "https://elsewhere.test" } }))).toMatchObject({ code: "bad_response", status, retryable: false, service: "some" });
  });

  test.each(["gzip, gzip", "gzip,br", "deflate, identity, gzip"])("M58: one that is packed several times: %s", async (encoding) => {
    expect(await said(answer("x", accept, { headers: { "content-encoding": encoding } }))).toMatchObject({ code: "too_large", status: 200 });
    expect(await said(answer("x", accept, { status: 500, headers: { "content-encoding": encoding } }))).toMatchObject({ code: "too_large", status: 500 });
  });

  test("M12: a page, with its first 200 characters, redacted", async () => {
    const error = await said(answer(`<p>hunter2 ${"x ".repeat(500)}`, "text/html; charset=utf-8"));
    expect(error).toMatchObject({ code: "bad_response", status: 200, retryable: true });
    const { message } = error as MillraceError;
    expect(message).toBe(`some: answered 200 with text/html, not text/event-stream: <p>… ${"x ".repeat(95).trim()}`);
  });

  test("M15: one of no type, and one with nothing in it", async () => {
    expect(await said(answer("hello", undefined))).toMatchObject({ code: "bad_response", message: "some: answered 200 with no content type, not text/event-stream: hello" });
    expect(await said(answer(null, "text/plain"))).toMatchObject({ code: "bad_response", message: "some: answered 200 with text/plain, not text/event-stream: " });
  });

  test("M14: JSON that speaks of an error is that error", async () => {
    expect(await said(answer('{"error":"slow down"}', "application/json; charset=utf-8"))).toMatchObject({ code: "rate_limited", message: "some: slow down" });
  });

  test("JSON that does not, or does not parse, and an error of another type, is quoted", async () => {
    for (const body of ['{"ok":true}', '{"error":', "null"]) expect(await said(answer(body, "application/json"))).toMatchObject({ code: "bad_response", message: `some: answered 200 with application/json, not text/event-stream: ${body}` });
    expect(await said(answer('{"error":"x"}', "text/plain"))).toMatchObject({ code: "bad_response" });
  });

  test("its body is read a little way and then closed, however much there is", async () => {
    let pulled = 0;
    let cancelled = 0;
    const chunk = new Uint8Array(16_384).fill(0x61);
    const endless = new ReadableStream<Uint8Array>({ pull: (controller) => ((pulled += 1), controller.enqueue(chunk)), cancel: () => void (cancelled += 1) });
    expect(await said(answer(endless, "text/html"))).toMatchObject({ code: "bad_response" });
    expect(pulled * chunk.length).toBeLessThanOrEqual(maxErrorBytes + 2 * chunk.length);
    expect(cancelled).toBe(1);
  });

  test("characters that chunks cut in two are whole in the message", async () => {
    const bytes = new TextEncoder().encode("é👩‍🍳");
    const single = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    expect(await said(answer(single, "text/plain"))).toMatchObject({ message: "some: answered 200 with text/plain, not text/event-stream: é👩‍🍳" });
  });
});
