/**
 * One request of a service's client and its answer, under our own clocks, limits and abort.
 *
 * Clients time the headers only, take a page of HTML for an empty answer and a cut one for a whole one, follow redirects with
 * the key, and end an aborted stream normally. So they are handed a `fetch` that lets none of this reach them.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { checkAnswer, type Fetch } from "./answer.ts";
import { type AnswerBody, answerBody } from "./answer-body.ts";
import { deadlines } from "./deadlines.ts";
import { watchEvents } from "./event-watch.ts";
import { guardedBody } from "./guarded-body.ts";
import { networkError } from "./network-errors.ts";
import type { Redact } from "./redact.ts";

/** Milliseconds of each clock. */
export interface Timeouts {
  /** Request sent to headers. */
  readonly connectMs: number;
  /** Start to first content. */
  readonly firstPartMs: number;
  /** Between bytes once content has come; four times that between content. */
  readonly idleMs: number;
}

/** What an exchange is told. */
export interface ExchangeOptions extends Timeouts {
  readonly service: string;
  readonly clock: Clock;
  readonly redact: Redact;
  /** Content type of a good answer. */
  readonly accept: "text/event-stream" | "application/x-ndjson" | "application/json";
  /** The caller's own, for proxies and tests. @default the global one */
  readonly fetch?: Fetch | undefined;
  /** Bytes of one event. @default 8 MiB */
  readonly maxEventBytes?: number | undefined;
  /** Is the body of a good answer read here, as `body`? Then the client gets an empty one. @default false */
  readonly takesBody?: boolean | undefined;
  /** An answer of status 200 whose body is a JSON error. */
  readonly errorOf: (body: unknown) => MillraceError | undefined;
}

/** What came of the request, besides its body. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
}

/** A running exchange. */
export interface Exchange {
  /** For the client: aborts when the exchange fails or is closed. */
  readonly signal: AbortSignal;
  /** For the client. */
  readonly fetch: Fetch;
  readonly answer: Answer | undefined;
  /** That of a good answer, where it is read here; undefined until it has come, and with a client that does not call `fetch`. */
  readonly body: AnswerBody | undefined;
  /** Has the client been given `[DONE]`? */
  readonly done: boolean;
  /** Waits for something of the client; rejects with the failure as soon as there is one. One wait at a time. */
  wait<T>(promise: PromiseLike<T>): Promise<T>;
  /** A sign of life that `fetch` did not see: a client that was passed in has its own. */
  touched(): void;
  /** Content came. */
  progressed(): void;
  /** Nobody waits for the next part: the clocks stand still. */
  pause(): void;
  resume(): void;
  /** Why it was ended, if it was. */
  readonly failure: { readonly reason: unknown } | undefined;
  fail(reason: unknown): void;
  /** The answer is complete: reads what is left, shortly, so that the connection can be used again. */
  drain(): Promise<void>;
  /** Ends it: nothing is left open or running. */
  close(): void;
}

/** While content is awaited and only pings come. */
const progressFactor = 4;
/** A big request takes time to go up: 1 Mbit/s is granted on top of `connectMs`. */
const uploadBytesPerMs = 128;
/** What may follow the terminal event, and how long it may take. */
const drainBytes = 65_536;
const drainMs = 250;
/** One event of a stream that brings text: 8 MiB. */
export const maxTextEventBytes = 8_388_608;
/** A whole JSON answer: 2,048 vectors of 3,072 dimensions take 33 MiB in base64. */
const maxJsonBytes = 67_108_864;

/** Opens an exchange; its clocks start now. */
export function openExchange(options: ExchangeOptions): Exchange {
  const { service, clock, redact, accept, connectMs, firstPartMs, idleMs, maxEventBytes = maxTextEventBytes, takesBody = false, errorOf } = options;
  const controller = new AbortController();
  const watch = watchEvents();
  let failure: Exchange["failure"];
  let answer: Answer | undefined;
  let rejectWait: ((reason: unknown) => void) | undefined;
  let body: AnswerBody | undefined;
  let taken: AnswerBody | undefined;
  let streaming = false;
  let hasContent = false;
  let ended = false;

  const failed = (): Exchange["failure"] => failure; // it changes while others are awaited
  const fail = (reason: unknown): void => {
    if (failure !== undefined) return;
    failure = { reason };
    clocks.stop();
    controller.abort(reason);
    body?.cancel(reason); // some runtimes leave the socket open otherwise
    rejectWait?.(reason);
  };
  const clocks = deadlines(clock, (name) => fail(timedOut(service, name, options)));
  clocks.set("firstPart", firstPartMs);

  const passed = (bytes: Uint8Array): readonly Uint8Array[] => {
    if (!streaming) return [bytes];
    const events = watch.push(bytes);
    if (watch.longestBytes > maxEventBytes) throw new MillraceError("too_large", `${service}: an event has more than ${maxEventBytes} bytes`, { service });
    return events;
  };
  const atEnd = (): void => {
    if (streaming && watch.inside) throw new MillraceError("truncated", `${service}: the answer ends within an event`, { service });
  };

  const guarded: Fetch = async (input, init = {}) => {
    if (failure !== undefined) throw failure.reason;
    const upload = typeof init.body === "string" ? init.body.length : 0;
    clocks.set("connect", connectMs + upload / uploadBytesPerMs);
    try {
      const headers = new Headers(init.headers);
      headers.set("accept-encoding", "identity"); // decoded sizes are ours to count, and events are not held back to be packed
      const response = await (options.fetch ?? fetch)(input, { ...init, headers, redirect: "error", signal: controller.signal });
      clocks.clear("connect");
      answer = { status: response.status, headers: response.headers };
      await checkAnswer(response, { service, accept, redact, errorOf });
      if (response.body === null) return response;
      const limit = response.ok ? (accept === "application/json" ? maxJsonBytes : Infinity) : "error";
      body = answerBody(response, response.body, { service, redact, limit, received: () => clocks.restart("idle"), ended: () => (ended = true), fail, failure: failed });
      streaming = response.ok && accept === "text/event-stream";
      if (!takesBody || !response.ok) return guardedBody(response, body, { passed, atEnd, fail });
      taken = body;
      const { status, statusText, headers: said } = response;
      return new Response("", { status, statusText, headers: said });
    } catch (error) {
      const reason = failed()?.reason ?? (error instanceof MillraceError ? error : networkError(service, "cannot be reached", error, redact));
      fail(reason);
      throw reason;
    }
  };

  return {
    signal: controller.signal,
    fetch: guarded,
    get answer() {
      return answer;
    },
    get body() {
      return taken;
    },
    get done() {
      return watch.done;
    },
    wait(promise) {
      return new Promise((resolve, reject) => {
        if (failure !== undefined) reject(failure.reason);
        rejectWait = reject;
        promise.then(resolve, (error: unknown) => reject(failure?.reason ?? error));
      });
    },
    touched() {
      clocks.restart("idle");
    },
    progressed() {
      if (hasContent) {
        clocks.restart("idle");
        clocks.restart("progress");
        return;
      }
      hasContent = true;
      clocks.clear("connect");
      clocks.clear("firstPart");
      clocks.set("idle", idleMs);
      clocks.set("progress", idleMs * progressFactor);
    },
    pause: clocks.pause,
    resume: clocks.resume,
    get failure() {
      return failure;
    },
    fail,
    async drain() {
      clocks.stop();
      if (body === undefined || ended || failure !== undefined) return;
      const cancel = clock.timeout(drainMs, () => fail(new DOMException("drained", "AbortError")));
      try {
        for (let bytes = 0; bytes < drainBytes; ) {
          const read = await body.read((value) => value);
          if (read === undefined) return;
          bytes += read.byteLength;
        }
      } catch {
        // the answer is complete already
      } finally {
        cancel();
      }
    },
    close() {
      clocks.stop();
      rejectWait = undefined;
      if (!ended) fail(new DOMException("closed", "AbortError"));
    },
  };
}

const waitedFor: Readonly<Record<string, readonly [phase: "connect" | "firstPart" | "idle", what: string]>> = {
  connect: ["connect", "no headers"],
  firstPart: ["firstPart", "no content"],
  idle: ["idle", "no bytes"],
  progress: ["idle", "no content, though pings came,"],
};

function timedOut(service: string, name: string, { connectMs, firstPartMs, idleMs }: Timeouts): MillraceError {
  const [phase, what] = waitedFor[name] ?? ["idle", "nothing"];
  const ms = phase === "connect" ? connectMs : phase === "firstPart" ? firstPartMs : name === "progress" ? idleMs * progressFactor : idleMs;
  return new MillraceError("timeout", `${service}: ${what} for ${ms} ms`, { service, phase });
}
