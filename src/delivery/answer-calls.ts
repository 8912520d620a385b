/**
 * The other side of `call`.
 *
 * @module
 */
import { systemClock } from "../core/clock.ts";
import { invalidOption, MillraceError } from "../core/errors.ts";
import { ignore, PASS } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { type Delivery, type Queue, requireQueue } from "../kinds/queue.ts";
import { pipe } from "../streams/pipe.ts";
import { type CallReply, type CallRun, replyHeaders, requestIn } from "./call-headers.ts";
import { called, Cancellations } from "./called.ts";
import { deliveryOf } from "./current.ts";
import { type DeadLetters, setAside } from "./dead-letter.ts";
import { telling } from "./events.ts";
import type { ConsumeOptions } from "./options.ts";
import { type Reopening, reopening } from "./reopening.ts";
import { consume, type Worker } from "./worker.ts";

const who = "answerCalls";

/** What `answerCalls` may be told: as `consume`, but that each call is answered by itself. */
export interface AnswerOptions extends Omit<ConsumeOptions, "batch"> {
  /** Where messages go that are no calls, and calls that want their reply elsewhere. @default they are told as events, and dropped */
  readonly deadLetter?: DeadLetters;
  /**
   * Where callers say that nobody waits any more; every worker must get every message of it. When it cannot be read it is opened again, as
   * the requests are, and that is told as `source_failed`: with `delayMs: Infinity` when it cannot be helped, and calls end by their time
   * from then on. @default calls end by their time
   */
  readonly cancellations?: Queue;
}

/** How far an attempt has come with its replies. */
interface Answering {
  readonly run: CallRun;
  /** Number of the next reply. */
  next: number;
}

/**
 * Runs a pipeline once for each `call` on a queue, and sends what it gives to the queue of the caller, part by part, as it comes.
 *
 * A call names the queue of its replies; only those in `replies` are written to. Its attempts are those of `consume`, and so are pauses
 * and the end. A call that fails for good is answered with the codes of its error, without messages. It is given up when its time is
 * over, or when the caller cancels it. Parts that were sent before an attempt failed make its caller fail, unless a `journal` makes all
 * attempts give the same.
 *
 * Reads:  the parts of each call.
 * Throws: when it is built, as `consume`; `invalid_input` for replies that are no queues, or of the same name; `missing_config` for a
 *         `batch`, and for replies that are delivered at most once.
 * Closes: its reading of the queues; they belong to the caller.
 *
 * @example
 * await using requests = memoryQueue({ name: "requests" });
 * await using replies = memoryQueue({ name: "replies" });
 * await using worker = answerCalls(requests, each(() => "pong"), [replies], { concurrency: 4 });
 * console.log(await run(call(requests, replies), "ping").text(), worker.counters.received); // pong 1
 */
export function answerCalls(requests: Queue, processor: Processor, replies: readonly Queue[], options: AnswerOptions = {}): Worker {
  requireQueue(who, requests, "requests");
  if (typeof processor !== "function") throw invalidOption(who, "processor", "a processor", processor);
  const { batch }: ConsumeOptions = options; // the type leaves it out; a spread or a program without types may not
  if (batch !== undefined) throw new MillraceError("missing_config", `${who}: batch: each call is answered by itself, of a batch all but the first would be lost`);
  const { deadLetter, cancellations, journal, clock = systemClock, ...rest } = options;
  if (typeof deadLetter === "object") requireQueue(who, deadLetter, "deadLetter");
  if (cancellations !== undefined) requireQueue(who, cancellations, "cancellations");
  const targets = byName(replies);
  const answers = new WeakMap<Delivery, Answering>();
  const cancelled = new Cancellations();
  const listening = new AbortController();

  const begin = (delivery: Delivery, id: string = crypto.randomUUID()): Answering => {
    const last = answers.get(delivery)?.run.beganMs ?? 0; // an attempt that is made in place is the newer one, also within a millisecond
    const answering = { run: { id, attempt: delivery.attempt, beganMs: Math.max(Date.now(), last + 1) }, next: 0 };
    answers.set(delivery, answering);
    return answering;
  };
  // an attempt may have no outputs, and may be made again with the same delivery: it begins with the run
  const beginning = processorOf([
    {
      kind: "operation",
      name: who,
      concurrency: 1,
      ordered: true,
      open(scope) {
        const delivery = deliveryOf(scope);
        if (delivery !== undefined && journal === undefined) begin(delivery);
        return () => PASS;
      },
    },
  ]);
  // with a journal every attempt gives the same, and a caller may go on with any
  const answeringOf = (delivery: Delivery): Answering => answers.get(delivery) ?? begin(delivery, journal === undefined ? undefined : "journal");

  async function reply(delivery: Delivery, answer: Pick<CallReply, "kind" | "codes">, parts: readonly Part[], signal?: AbortSignal): Promise<void> {
    const request = requestIn(delivery);
    const target = request === undefined ? undefined : targets.get(request.replyTo);
    if (request === undefined || target === undefined) throw new MillraceError("refused", `${who}: the message is no call of ours`);
    const { run, next: n } = answeringOf(delivery);
    const { correlationId, traceparent } = delivery;
    await target.send(parts, {
      id: `${request.id}:${run.id}:${n}`,
      headers: replyHeaders({ id: request.id, run, n, ...answer }),
      ...(signal === undefined ? {} : { signal }),
      ...(target.lacks.keys === undefined ? { key: request.id } : {}),
      ...(correlationId === undefined ? {} : { correlationId }),
      ...(traceparent === undefined ? {} : { traceparent }),
    });
  }

  const worker = consume(
    called(requests, { replies: (name) => targets.has(name), cancellations: cancelled, clock }),
    pipe(beginning, processor),
    {
      guarantee: "confirmed",
      async write(part, { key, delivery, signal }) {
        answeringOf(delivery).next = Number(key.slice(key.lastIndexOf(":") + 1));
        await reply(delivery, { kind: "part" }, [part], signal);
        answeringOf(delivery).next += 1;
      },
      flush: (delivery) => reply(delivery, { kind: "end" }, []),
    },
    {
      ...rest,
      clock,
      ...(journal === undefined ? {} : { journal }),
      async deadLetter(message) {
        const { delivery, letter, signal } = message;
        if (delivery.unreadable === undefined) await reply(delivery, { kind: "failed", codes: [letter.code, ...letter.causeCodes] }, [], signal);
        else if (deadLetter !== undefined) await setAside(deadLetter, message);
      },
    },
  );
  if (cancellations !== undefined) {
    const { random = Math.random, onEvent } = rest;
    const tell = telling(onEvent);
    const settings: Reopening = { signal: listening.signal, received: () => cancelled.received, tell, clock, random };
    // not the end of the worker: without them calls end by their time
    reopening(() => cancelled.read(cancellations, listening.signal), settings).catch((error: unknown) => tell({ kind: "source_failed", delayMs: Infinity, error }));
  }
  worker.finished.catch(ignore).finally(() => listening.abort());
  return worker;
}

function byName(replies: readonly Queue[]): ReadonlyMap<string, Queue> {
  if (!Array.isArray(replies) || replies.length === 0) throw invalidOption(who, "replies", "one queue or more", replies);
  const targets = new Map<string, Queue>();
  for (const queue of replies) {
    requireQueue(who, queue, "replies");
    if (queue.guarantee !== "at-least-once") throw new MillraceError("missing_config", `${who}: ${queue.service} delivers replies at most once: a lost one would be waited for`);
    if (targets.has(queue.name)) throw invalidOption(who, "replies", "queues of different names", queue.name);
    targets.set(queue.name, queue);
  }
  return targets;
}
