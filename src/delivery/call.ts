/**
 * A stage that lives on another machine, behind a queue.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { sizeOf } from "../core/part-size.ts";
import type { Context, Processor } from "../core/processor.ts";
import { type Queue, requireQueue } from "../kinds/queue.ts";
import { each } from "../streams/each.ts";
import { cancelHeaders, requestHeaders } from "./call-headers.ts";
import { replyDesk } from "./reply-desk.ts";

const who = "call";

/** What `call` may be told. */
export interface CallOptions {
  /** What one call is about: all that the stage reads to the end of its input, or each part by itself. @default "all" */
  readonly message?: "all" | "part";
  /** With `message: "part"`, calls in progress at most; outputs keep the order of the input. @default 1 */
  readonly concurrency?: number;
  /** With `message: "part"`, which parts are sent; the others pass by. @default all but `finish` and `error` parts */
  readonly match?: (part: Part) => boolean;
  /** Milliseconds a call may take, its reading included; the other side gives up then too. @default 300_000 */
  readonly timeoutMs?: number;
  /** Replies that are held for calls nobody reads from, at most; each call has one more. Of stages that share `replies` the largest number counts. @default 256 */
  readonly maxHeld?: number;
  /** Tells the other side of calls that were left or aborted. Each of its workers must get every message: pub/sub, or a queue of its own. @default they end by `timeoutMs` */
  readonly cancellations?: Queue;
  /** Messages of one key are answered in the order of the calls, where the other side is told so. @default none */
  readonly key?: (part: Part) => string | undefined;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** Bytes of content of one request at most: no queue takes as many, `offload` does. */
const maxRequestBytes = 67_108_864;
/** Milliseconds for the word that a call is over. */
const cancelMs = 5_000;

/**
 * Sends its input to whoever runs `answerCalls` on the same queue, and gives what comes back, part by part.
 *
 * `replies` is this process's own: every message of it is taken. It is read once for all stages that were given the same object, from the
 * first run on until it is closed. Two objects for one queue cannot be known to be one: each would take what belongs to the calls of the
 * other, which wait until their time is over. The parts of one call are of one attempt: when the other side begins anew after some have
 * gone on, the call fails with `interrupted`.
 *
 * Of replies that nobody has read yet `maxHeld` are held, 64 MiB at most for all stages of the queue, and the next one of each call; each
 * call has its share of that. What there is no room for stays in the queue, and comes again a moment later. Some queues cannot put off a
 * message (RabbitMQ without delay queues, Kafka): there a slow reader holds up what stands behind, as long as no other waits for it. When
 * one does, all that comes is held, up to the 64 MiB; beyond that the call that holds most fails with `too_large`, and the others go on.
 *
 * Reads:  all of its input, or with `message: "part"` one part a call. System parts arrive as the user's: a queue carries no others.
 * Yields: what the other side's pipeline gives, without parts of `status` and `debug`.
 * Throws: `invalid_input` for bad options; `missing_config` for replies that are delivered at most once; the code with which the other
 *         side gave up (not retryable: it has tried); `timeout` after `timeoutMs`; `too_large` for an input above 64 MiB, and for replies
 *         as said; what `key` and the queues throw; all of these as `interrupted`, with the error as cause, once parts have gone on;
 *         `signal.reason` on abort.
 * Closes: nothing; the queues belong to the caller.
 *
 * @example
 * await using requests = memoryQueue({ name: "requests" });
 * await using replies = memoryQueue({ name: "replies" });
 * const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
 * await using worker = answerCalls(requests, shout, [replies]); // as a rule on another machine
 * console.log(await run(call(requests, replies), "hello").text(), worker.counters.received); // HELLO 1
 */
export function call(requests: Queue, replies: Queue, options: CallOptions = {}): Processor {
  requireQueue(who, requests, "requests");
  requireQueue(who, replies, "replies");
  const { message = "all", concurrency = 1, match = isContent, key, cancellations, clock = systemClock } = options;
  if (message !== "all" && message !== "part") throw invalidOption(who, "message", '"all" or "part"', message);
  wholeNumber(who, "concurrency", concurrency, 1);
  const timeoutMs = wholeNumber(who, "timeoutMs", options.timeoutMs ?? 300_000, 1);
  if (cancellations !== undefined) requireQueue(who, cancellations, "cancellations");
  if (requests === replies) throw new MillraceError("invalid_input", `${who}: requests and replies need a queue each, got the same`);
  if (replies.guarantee !== "at-least-once") throw new MillraceError("missing_config", `${who}: ${replies.service} delivers replies at most once: a lost one would be waited for`);
  if (key !== undefined && requests.lacks.keys !== undefined) throw invalidOption(who, "requests", "a queue with keys", `${requests.service}: ${requests.lacks.keys}`);
  const maxHeld = wholeNumber(who, "maxHeld", options.maxHeld ?? 256, 1);
  const desk = replyDesk(replies);

  async function* ask(parts: readonly Part[], { signal, correlationId }: Pick<Context, "signal" | "correlationId">): AsyncGenerator<Part> {
    signal.throwIfAborted();
    const [first] = parts;
    const named = first === undefined ? undefined : key?.(first); // it may throw: nothing is begun yet that would have to be ended
    const id = crypto.randomUUID();
    const waiting = desk.join(id, maxHeld);
    const sending = new AbortController();
    const over = (reason: unknown): void => {
      waiting.fail(reason);
      sending.abort(reason);
    };
    const abort = (): void => over(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const stopTimer = clock.timeout(timeoutMs, () => over(new MillraceError("timeout", `${who}: no end within ${timeoutMs} ms`, { phase: "total" })));
    let answered = false;
    try {
      const headers = requestHeaders({ id, replyTo: replies.name, timeoutMs });
      await requests.send(parts, { id, correlationId, headers, signal: sending.signal, ...(named === undefined ? {} : { key: named }) });
      for (let part = await waiting.next(); part !== undefined; part = await waiting.next()) yield part;
      answered = true;
    } catch (error) {
      if (signal.aborted || waiting.handedOn === 0 || isMillraceError(error, "interrupted")) throw error;
      throw new MillraceError("interrupted", `${who}: broke off after ${waiting.handedOn} parts`, { cause: error });
    } finally {
      stopTimer();
      signal.removeEventListener("abort", abort);
      desk.leave(waiting);
      if (!answered && cancellations !== undefined) void cancel(id, cancellations);
    }
  }
  /** Nobody waits for this. What does not get through ends by its time. */
  async function cancel(id: string, to: Queue): Promise<void> {
    const controller = new AbortController();
    const stopTimer = clock.timeout(cancelMs, () => controller.abort());
    await to.send([], { headers: cancelHeaders(id), signal: controller.signal }).catch(ignore);
    stopTimer();
  }

  if (message === "part") return each((part, context) => ask([part], context), { concurrency, match, name: who });
  return async function* call(input, context) {
    const parts: Part[] = [];
    let bytes = 0;
    for await (const part of input) {
      bytes += sizeOf(part);
      if (bytes > maxRequestBytes) throw new MillraceError("too_large", `${who}: the parts of one call may have ${maxRequestBytes} bytes, got more`);
      parts.push(part);
    }
    yield* ask(parts, context ?? { signal: new AbortController().signal, correlationId: crypto.randomUUID() });
  };
}

function isContent({ kind }: Part): boolean {
  return kind !== "finish" && kind !== "error";
}
