/** What every vector store behind HTTP does when something goes wrong: errors in our words, one request each, nothing left open. */
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import type { ErrorCode, MillraceError } from "../../src/core/errors.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { htmlAnswer, redirectAnswer } from "../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireServer, wireServer } from "../../src/testing/wire-server.ts";

export const key = "canary-9f8e7d6c5b4a3210";
const secretText = "the secret ingredient of grandmother's soup";

/** Options that every such store has. */
export interface FaultOptions {
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

/** A store and the service that it asks. */
export interface FaultSubject {
  readonly name: string;
  readonly service: string;
  /** A service that works, and knows `key`. */
  server(): Promise<WireServer>;
  /** A store of three dimensions that asks it with `key`. */
  store(url: string, options?: FaultOptions): VectorStore;
  refusal(status: number, message: string, headers?: Readonly<Record<string, string>>): WireAnswer;
  /** Of `retry-after: 2`. */
  readonly retryAfterMs: number;
}

export function vectorStoreFaults(subject: FaultSubject): void {
  const { service, refusal } = subject;
  const silent: WireAnswer = { fault: { kind: "stall", after: "nothing" } };
  const json = { "content-type": "application/json" };

  describe(`${subject.name}: faults`, () => {
    let server: WireServer;
    beforeEach(async () => {
      server = await subject.server();
    });
    afterEach(() => server.close());

    /** A store that has looked at its collection: the next request is the one that is asked for. */
    const opened = async (options: FaultOptions = {}): Promise<VectorStore> => {
      const store = subject.store(server.url, options);
      await store.setup();
      await store.upsert([{ id: "first", vector: Float32Array.of(0, 1, 0) }]);
      return store;
    };
    const upsert = (store: VectorStore, signal?: AbortSignal): Promise<unknown> =>
      store.upsert([{ id: "a", vector: Float32Array.of(1, 0, 0), text: secretText, metadata: { note: secretText } }], signal === undefined ? {} : { signal });
    const failure = async (promise: Promise<unknown>): Promise<unknown> => {
      const error: unknown = await promise.then(
        () => expect.unreachable("nothing failed"),
        (caught: unknown) => caught,
      );
      for (const shown of [String(error), inspect(error, { depth: 10, showHidden: true }), JSON.stringify(error)]) {
        expect(shown).not.toContain(key);
        expect(shown).not.toContain(secretText);
      }
      return error;
    };

    const faults: readonly (readonly [name: string, answer: WireAnswer, code: ErrorCode | readonly ErrorCode[], more?: object])[] = [
      ["400 that echoes what was sent", refusal(400, `bad request: ${secretText}`), "invalid_input", { status: 400 }],
      ["401 that echoes key and text", refusal(401, `bad key ${key} for ${secretText}`), "unauthorized", { status: 401 }],
      ["403", refusal(403, "forbidden"), "unauthorized", { status: 403 }],
      ["404", refusal(404, "no such thing"), "not_found", { status: 404, scope: "dependency" }],
      ["413", refusal(413, "payload too large"), "too_large"],
      ["429 with Retry-After", refusal(429, "slow down", { "retry-after": "2" }), "rate_limited", { retryAfterMs: subject.retryAfterMs, retryable: true }],
      ["429 with a date in Retry-After", refusal(429, "slow down", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }), "rate_limited", { retryable: true }],
      ["429 without a hint", refusal(429, "slow down"), "rate_limited"],
      ["500", refusal(500, "boom"), "unavailable", { status: 500, retryable: true }],
      ["503 with Retry-After", refusal(503, "starting", { "retry-after": "3" }), "unavailable", { status: 503, retryAfterMs: 3_000 }],
      ["501", refusal(501, "not here"), "missing_config"],
      ["a page", htmlAnswer(), "bad_response"],
      ["an empty body", { headers: json, frames: [] }, "bad_response"],
      ["a JSON null", { headers: json, frames: ["null"] }, "bad_response"],
      ["JSON that breaks off", { headers: json, frames: ['{"resu'] }, "bad_response"],
      ["a body cut short", { headers: json, frames: ['{"result": {"a": 1}', "}"], fault: { kind: "short", after: 1 } }, ["truncated", "unavailable"]], // by who counts the bytes
      ["what is no HTTP", { fault: { kind: "garbage" } }, "bad_response"],
    ];
    for (const [name, answer, code, more] of faults) {
      test(`${name} is an error, after one request`, async () => {
        await using store = await opened();
        const before = server.requests.length;
        server.script(answer);
        const error = await failure(upsert(store));
        expect(error).toMatchObject({ service, ...more });
        expect([code].flat()).toContain((error as MillraceError).code);
        expect(server.requests.length - before).toBe(1);
        await upsert(store); // and the next call goes well
      });
    }

    test("a connection that breaks before the answer is an error, and no request of ours is repeated", async () => {
      await using store = await opened();
      const before = server.requests.length;
      server.script(...Array.from({ length: 5 }, (): WireAnswer => ({ fault: { kind: "cut", after: "nothing" } })));
      expect(await failure(upsert(store))).toMatchObject({ code: "unavailable", retryable: true, service });
      // Bun (a PUT) and Deno send once more by themselves where a kept connection breaks
      expect(server.requests.length - before).toBeLessThanOrEqual("Bun" in globalThis || "Deno" in globalThis ? 2 : 1);
    });

    test("a server that is not there is unavailable", async () => {
      const gone = await wireServer();
      await gone.close();
      await using store = subject.store(gone.url);
      expect(await failure(store.count())).toMatchObject({ code: "unavailable", retryable: true, service });
    });

    test("a redirect to another origin is not followed", async () => {
      await using store = await opened();
      await using other = await wireServer();
      server.script(redirectAnswer(`${other.url}/`));
      expect(await failure(upsert(store))).toMatchObject({ code: "bad_response", retryable: false, service });
      expect(other.connections).toBe(0);
    });

    test.each([
      ["headers", silent],
      ["the rest of the body", { headers: json, frames: ['{"result":', "true}"], fault: { kind: "stall", after: 1 } }],
    ] as const)("waits for %s no longer than timeoutMs, and then closes the connection", async (_, answer) => {
      const clock = fakeClock();
      await using store = await opened({ clock, timeoutMs: 5_000 });
      server.script(answer);
      const arrives = server.nextRequest();
      const pending = failure(upsert(store));
      const request = await arrives;
      await clock.advance(4_900);
      expect(request.isClosed).toBe(false);
      await clock.advance(200);
      expect(await pending).toMatchObject({ code: "timeout", retryable: true, service });
      await request.closed;
      expect(clock.pending).toBe(0);
    });

    test("an abort rejects with the reason itself, and closes the connection", async () => {
      await using store = await opened();
      server.script(silent);
      const arrives = server.nextRequest();
      const controller = new AbortController();
      const reason = { why: "enough" };
      const pending = failure(upsert(store, controller.signal));
      const request = await arrives;
      controller.abort(reason);
      expect(await pending).toBe(reason);
      await request.closed;
    });

    test("an abort between two requests of a call lets the second one be", async () => {
      await using store = await opened();
      const controller = new AbortController();
      const reason = { why: "enough" };
      const before = server.requests.length;
      server.script(async () => {
        controller.abort(reason);
        return refusal(500, "late");
      });
      const many = Array.from({ length: 1_200 }, (_, i) => ({ id: `r${i}`, vector: Float32Array.of(1, i, 0) }));
      expect(await failure(store.upsert(many, { signal: controller.signal }))).toBe(reason);
      expect(server.requests.length - before).toBe(1);
    });

    test("closing ends what runs, and its connection", async () => {
      const store = await opened();
      server.script(silent);
      const arrives = server.nextRequest();
      const pending = failure(upsert(store));
      const request = await arrives;
      await Promise.all([store.close(), store.close()]);
      expect(await pending).toMatchObject({ code: "closed", service });
      await request.closed;
    });

    test("leaves no listener on a signal that many calls share", async () => {
      await using store = await opened();
      const { signal } = new AbortController();
      const added = vi.spyOn(signal, "addEventListener");
      const removed = vi.spyOn(signal, "removeEventListener");
      for (let call = 0; call < 3; call += 1) await upsert(store, signal);
      expect(added).toHaveBeenCalled();
      expect(removed.mock.calls.length).toBe(added.mock.calls.length);
    });

    test("shows its key nowhere, and prints nothing", async () => {
      const printed = (["log", "warn", "error", "info", "debug"] as const).map((name) => vi.spyOn(console, name));
      await using store = await opened();
      expect(inspect(store, { depth: 10, showHidden: true }) + JSON.stringify(store)).not.toContain(key);
      for (const spy of printed) {
        expect(spy).not.toHaveBeenCalled();
        spy.mockRestore();
      }
    });
  });
}
