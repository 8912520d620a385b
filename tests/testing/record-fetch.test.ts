import { describe, expect, test } from "vitest";
import { openai } from "../../src/adapters/openai/index.ts";
import { isMillraceError, type Part, run } from "../../src/index.ts";
import { exchangesOf } from "../../src/testing/http-exchange.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { recordingFetch, replayingFetch } from "../../src/testing/record-fetch.ts";
import { recording, type Recording } from "../../src/testing/recording.ts";
import { recordedAnswer, replayServer } from "../../src/testing/replay-server.ts";
import { jsonAnswer, responsesFrames, sseAnswer } from "../../src/testing/wire-answers.ts";
import { type WireAnswer, wireServer } from "../../src/testing/wire-server.ts";
import * as responses from "../adapters/openai/responses-fixture.ts";
import { soon, turns } from "../streams/support.ts";

const canary = "sk-canary-0123456789abcdef";
const answered = (deltas: readonly string[]): WireAnswer => sseAnswer(responsesFrames(responses.answered(deltas)));
const model = (baseUrl: string, fetch: typeof globalThis.fetch | ReturnType<typeof replayingFetch>) => openai({ model: "gpt-test", baseUrl: `${baseUrl}/v1`, apiKey: canary, fetch });
const bare = (parts: readonly Part[]): unknown[] => parts.map((part) => ({ ...part }));

/** A body that a test feeds. */
function body(chunks: readonly (string | Uint8Array)[], then: "close" | Error | "stay" = "close"): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks[at];
      at += 1;
      if (chunk !== undefined) controller.enqueue(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
      else if (then === "close") controller.close();
      else if (then !== "stay") controller.error(then);
    },
  });
}
const chunksOf = async (response: Response): Promise<string[]> => {
  const seen: string[] = [];
  for await (const chunk of response.body ?? []) seen.push(new TextDecoder().decode(chunk as Uint8Array));
  return seen;
};
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "nothing failed",
    (error: unknown) => error,
  );
async function recorded(make: () => Response | Promise<Response>, ask: (fetch: ReturnType<typeof recordingFetch>) => Promise<unknown>, secrets: readonly string[] = []): Promise<Recording> {
  const notes = recording();
  await failure(ask(recordingFetch(async () => make(), { to: notes, secrets })));
  return notes;
}

describe("a model adapter, recorded over a socket and replayed without", () => {
  test("gives the same parts without a network, and from a server however its bytes are cut", async () => {
    const notes = recording();
    await using server = await wireServer({ answer: answered(["Hel", "lo ", "wörld 🌊"]) });
    const parts = bare(await run(model(server.url, recordingFetch(fetch, { to: notes })), "Hi").collect());
    expect(server.requests).toHaveLength(1);
    expect(bare(await run(model(server.url, replayingFetch(notes.toString())), "Hi").collect())).toEqual(parts);
    expect(server.requests).toHaveLength(1);
    for (const split of [1, 2, 7, "whole", { seed: 3 }] as const) {
      await using replayed = await replayServer(notes, { split });
      expect(bare(await run(model(replayed.url, fetch), "Hi").collect())).toEqual(parts);
    }
  });

  test("breaks where it broke: a connection that was cut is cut again, in the replay and on the server", async () => {
    const notes = recording();
    const whole = answered(["one ", "two ", "three "]);
    await using server = await wireServer({ answer: { ...whole, fault: { kind: "cut", after: 6 } } });
    const code = async (baseUrl: string, used: typeof fetch | ReturnType<typeof replayingFetch>): Promise<string> => {
      const error = await failure(run(model(baseUrl, used), "Hi").collect());
      return isMillraceError(error) ? `${error.code} ${error.partial?.text}` : String(error);
    };
    const then = await code(server.url, recordingFetch(fetch, { to: notes }));
    expect(then).toMatch(/^interrupted one /);
    expect(await code(server.url, replayingFetch(notes))).toBe(then);
    await using replayed = await replayServer(notes);
    expect(await code(replayed.url, fetch)).toBe(then);
  });

  test("a fault may be put anywhere into what was recorded whole", async () => {
    // no socket, which may join events into one chunk: there would be nothing behind the first
    const notes = await recorded(
      () => new Response(body(responsesFrames(responses.answered(["one ", "two "]))), { headers: { "content-type": "text/event-stream" } }),
      (fetch) => run(model("https://model.test", fetch), "Hi").collect(),
    );
    const [exchange] = exchangesOf(notes);
    if (exchange === undefined) throw new Error("nothing was recorded");
    await using cut = await wireServer({ answer: recordedAnswer(exchange, { fault: { kind: "truncate", after: 1 } }) });
    const error = await failure(run(model(cut.url, fetch), "Hi").collect());
    expect(isMillraceError(error) && ["truncated", "interrupted"].includes(error.code)).toBe(true);
  });

  test("another question is a clear error on both, and names no key", async () => {
    const notes = recording();
    await using server = await wireServer({ answer: answered(["x"]) });
    await run(model(server.url, recordingFetch(fetch, { to: notes })), "Hi").collect();
    const error = await failure(replayingFetch(notes)(`${server.url}/v1/other?key=${canary}`, { method: "POST", body: "x" }));
    expect(error).toMatchObject({ code: "missing_config" });
    expect((error as Error).message).toMatch(/^replay: missing recording for POST http:\/\/127\.0\.0\.1:\d+\/v1\/other\?key=%5Bredacted%5D with body 2d711642; recorded: POST http:.*\/v1\/responses with body [0-9a-f]{8}$/);
    await using replayed = await replayServer(notes);
    const response = await fetch(`${replayed.url}/v1/responses`, { method: "POST", body: "x" });
    expect([response.status, await response.text()]).toEqual([501, expect.stringContaining("replay: missing recording for POST")]);
  });
});

describe("what is recorded of HTTP", () => {
  test("method, address, headers and a hash of the body; the answer chunk by chunk, as text where it is text", async () => {
    const notes = await recorded(
      () => new Response(body(["data: 1\n\n", new Uint8Array([0xf0, 0x9f]), "x"]), { status: 201, headers: { "content-type": "text/event-stream", "content-encoding": "gzip", "x-request-id": "r1" } }),
      async (fetched) => chunksOf(await fetched("https://example.com/v1?a=b%20c", { method: "POST", body: "hello", headers: { "x-trace": "t" } })),
    );
    expect(notes.lines.map(({ atMs: _, ...line }) => line)).toMatchObject([
      { exchange: 1, request: { method: "POST", url: "https://example.com/v1?a=b%20c", headers: { "x-trace": "t" }, bodySha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" } },
      { exchange: 1, response: { status: 201, headers: { "x-request-id": "r1" } } },
      { exchange: 1, text: "data: 1\n\n" },
      { exchange: 1, base64: "8J8=" },
      { exchange: 1, text: "x" },
      { exchange: 1, end: "complete" },
    ]);
    const again = await replayingFetch(notes.toString())("https://example.com/v1?a=b%20c", { method: "POST", body: "hello" });
    expect([again.status, again.url, again.headers.get("x-request-id"), again.headers.get("content-encoding")]).toEqual([201, "https://example.com/v1?a=b%20c", "r1", null]);
    expect((await chunksOf(again)).length).toBe(3);
  });

  test("canary: no secret is written, from whichever place, nor where it is repeated, cut anywhere", async () => {
    const others = ["x-api-key-canary-1", "google-canary-22", "user-canary-333", "pass-canary-4444", "cookie-canary-55", "signature-canary-6", "session-canary-77", "path-canary-888"] as const;
    const echo = `{"error":"Incorrect key: ${canary} or ${others[1]}"}`;
    for (let size = 1; size < 20; size += 3) {
      const pieces = Array.from({ length: Math.ceil(echo.length / size) }, (_, i) => echo.slice(i * size, (i + 1) * size));
      const notes = await recorded(
        () => new Response(body(pieces), { headers: { "set-cookie": `sid=${others[4]}`, "x-echo": `you said ${canary}`, "x-session-token": others[6] } }),
        async (fetched) =>
          chunksOf(
            await fetched(new URL(`https://${others[2]}:${others[3]}@example.com/${others[7]}/v1?key=${others[1]}&X-Amz-Signature=${others[5]}&plain=yes`), {
              method: "POST",
              headers: { authorization: `Bearer ${canary}`, "x-api-key": others[0], "idempotency-key": "kept" },
              body: `my key is ${canary}`,
            }).catch(() => fetched(`https://example.com/${others[7]}/v1?key=${others[1]}&X-Amz-Signature=${others[5]}&plain=yes`, { headers: { authorization: `Bearer ${canary}`, "x-api-key": others[0], "idempotency-key": "kept" } })),
          ),
        [others[7]],
      );
      const file = notes.toString();
      expect(file).toContain("plain=yes");
      expect(file).toContain('"idempotency-key":"kept"');
      const body64 = notes.lines.map((line) => (typeof line.text === "string" ? line.text : typeof line.base64 === "string" ? Buffer.from(line.base64, "base64").toString() : "")).join("");
      for (const secret of [canary, ...others]) {
        expect(file).not.toContain(secret);
        expect(body64).not.toContain(secret);
      }
      expect(body64).toHaveLength(echo.length);
    }
  });

  test("an error repeats no secret either, before the answer and in the middle of it, and comes again", async () => {
    const broken = Object.assign(new TypeError("fetch failed"), { cause: Object.assign(new Error(`connect with ${canary}`), { code: "ECONNRESET" }) });
    const ask = (fetched: ReturnType<typeof recordingFetch>): Promise<unknown> => fetched("https://example.com/", { headers: { authorization: `Bearer ${canary}` } }).then(chunksOf);
    for (const make of [() => Promise.reject(broken), () => new Response(body(["half"], broken))]) {
      const notes = await recorded(make, ask);
      expect(notes.toString()).not.toContain(canary);
      const error = await failure(replayingFetch(notes.toString())("https://example.com/").then(chunksOf));
      expect(error).toMatchObject({ name: "TypeError", message: "fetch failed", cause: { code: "ECONNRESET" } });
    }
  });

  test("an answer that was left is no answer: its chunks, then a clear error", async () => {
    const notes = await recorded(
      () => new Response(body(["one", "two"], "stay")),
      async (fetched) => {
        const reader = (await fetched("https://example.com/")).body?.getReader();
        await reader?.read();
        await reader?.cancel();
      },
    );
    expect(notes.lines.at(-1)).toMatchObject({ end: "left" });
    const reader = (await replayingFetch(notes)("https://example.com/")).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value as Uint8Array)).toBe("one");
    expect(await failure(Promise.resolve(reader?.read()))).toMatchObject({ code: "missing_config", message: "replay: missing recording for GET https://example.com/ after 1 chunks: it was left there" });
  });

  test("an answer without a body, and one to HEAD, come again without", async () => {
    for (const [status, method] of [[204, "GET"], [304, "GET"], [200, "HEAD"]] as const) {
      const notes = await recorded(
        () => new Response(null, { status }),
        async (fetched) => fetched("https://example.com/", { method }),
      );
      const again = await replayingFetch(notes)("https://example.com/", { method });
      expect([again.status, await again.text()]).toEqual([status, ""]);
    }
  });

  test("requests that are the same get their answers in order, the last again", async () => {
    const notes = recording();
    let count = 0;
    const fetched = recordingFetch(async () => new Response(String((count += 1))), { to: notes });
    for (const path of ["a", "b", "a"]) await (await fetched(`https://example.com/${path}`)).text();
    const again = replayingFetch(notes);
    const answers: string[] = [];
    for (const path of ["a", "a", "a", "b"]) answers.push(await (await again(`https://example.com/${path}`)).text());
    expect(answers).toEqual(["1", "3", "3", "2"]);
  });

  test("it keeps the pace of then when asked to, and hears an abort while it waits", async () => {
    const clock = fakeClock();
    const notes = recording();
    const slow = recordingFetch(
      async () => {
        await clock.sleep(100);
        return new Response(
          new ReadableStream<Uint8Array>(
            {
              async pull(controller) {
                await clock.sleep(50);
                controller.enqueue(new TextEncoder().encode("x"));
                if (clock.now() >= 200) controller.close();
              },
            },
            { highWaterMark: 0 },
          ),
        );
      },
      { to: notes, clock },
    );
    const reading = slow("https://example.com/").then(chunksOf);
    await clock.advance(1_000);
    await reading;
    const startMs = clock.now();
    const at: number[] = [];
    const replaying = replayingFetch(notes, { speed: 1, clock })("https://example.com/").then(async (response) => {
      at.push(clock.now() - startMs);
      for await (const _ of response.body ?? []) at.push(clock.now() - startMs);
    });
    await clock.advance(1_000);
    await replaying;
    expect(at).toEqual([100, 150, 200]);
    const reason = new Error("enough");
    for (const waitMs of [0, 120]) {
      const controller = new AbortController();
      const waiting = failure(replayingFetch(notes, { speed: 1, clock })("https://example.com/", { signal: controller.signal }).then(chunksOf));
      await clock.advance(waitMs);
      await turns();
      controller.abort(reason);
      expect(await soon(waiting)).toBe(reason);
    }
    await turns();
    expect(clock.pending).toBe(0);
    expect(await failure(replayingFetch(notes)("https://example.com/", { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });

  test("a JSON error of a service comes again with its status", async () => {
    const notes = recording();
    await using server = await wireServer({ answer: jsonAnswer({ error: { message: "no" } }, { status: 418 }) });
    await (await recordingFetch(fetch, { to: notes })(server.url)).text();
    const again = await replayingFetch(notes)(server.url);
    expect([again.status, await again.json()]).toEqual([418, { error: { message: "no" } }]);
  });
});
