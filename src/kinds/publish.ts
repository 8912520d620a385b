/**
 * The verb that writes to a queue.
 *
 * @module
 */
import { json } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import { PASS } from "../core/flow.ts";
import type { Metadata, Part } from "../core/part.ts";
import { sizeOf } from "../core/part-size.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Context, Processor } from "../core/processor.ts";
import type { Writable } from "../core/writable.ts";
import { type Queue, requireQueue, type SendOptions } from "./queue.ts";

const who = "publish";

/** What a queue has confirmed, as `metadata.queue` or as the value of a receipt. */
export interface Receipt {
  readonly messageId: string;
  /** Of the queue. */
  readonly name: string;
  readonly status: "queued";
  /** Its place in the queue. */
  readonly id: string;
}

/** What `publish` may be told. */
export interface PublishOptions {
  /** What goes on: the part itself, with its receipt, or a receipt in its stead, which no later stage takes for content. @default "part" */
  readonly emit?: "part" | "receipt";
  /**
   * What a message is: one part, or all that this stage reads to the end of its input; inside `batch`, a group. @default "part"
   */
  readonly message?: "part" | "all";
  /** Messages of one key keep their order. Asked with the first part of a message. @default none */
  readonly key?: (part: Part) => string | undefined;
  /** Names the message: one that is sent again, by a `retry` or a second delivery, gets the same. @default a new one each time */
  readonly id?: (part: Part) => string;
  /** Milliseconds before which the message is not delivered. @default 0 */
  readonly delayMs?: number;
  /** Told beside the part. */
  readonly headers?: Metadata;
  /** Which parts are sent; the others pass by. @default all but `finish` and `error` parts */
  readonly match?: (part: Part) => boolean;
  /** Sends in progress at most. With more than 1 messages may arrive in another order. @default 1 */
  readonly concurrency?: number;
}

/** Bytes of content that are held for one message at most: no queue takes as many, `offload` does. */
const maxHeldBytes = 67_108_864;

/**
 * Sends each part as a message, and goes on once the queue has confirmed it. The message has the run's correlation id.
 *
 * Reads:  every part but `finish` and `error`; what `match` refuses passes by.
 * Yields: in its place, the part with `metadata.queue` of `{ messageId, name, status, id }`; with `emit: "receipt"` a JSON part of that,
 *         on the substream `status`.
 * Throws: `invalid_input` for bad options, and for what the queue lacks; `too_large` for a message above the queue's limit; whatever the
 *         queue throws. A message that may have been sent is not sent again: that is for a `retry` around it, with an `id`.
 * Closes: nothing; the queue belongs to the caller.
 *
 * @example
 * await using queue = memoryQueue({ name: "jobs" });
 * const [part] = await run(publish(queue), "resize it").collect();
 * console.log(JSON.stringify(part?.metadata.queue)); // {"messageId":"…","name":"jobs","status":"queued","id":"jobs/1"}
 */
export function publish(queue: Queue, options: PublishOptions = {}): Processor {
  requireQueue(who, queue);
  const { emit = "part", message = "part", key, id, delayMs = 0, headers, match = isContent, concurrency = 1 } = options;
  if (emit !== "part" && emit !== "receipt") throw invalidOption(who, "emit", '"part" or "receipt"', emit);
  if (message !== "part" && message !== "all") throw invalidOption(who, "message", '"part" or "all"', message);
  for (const [name, value] of Object.entries({ key, id, match })) {
    if (value !== undefined && typeof value !== "function") throw invalidOption(who, name, "a function", value);
  }
  wholeNumber(who, "delayMs", delayMs, 0);
  wholeNumber(who, "concurrency", concurrency, 1);
  const { lacks, service } = queue;
  if (key !== undefined && lacks.keys !== undefined) throw invalidOption(who, "queue", "one with keys", `${service}: ${lacks.keys}`);
  if (delayMs > 0 && lacks.delay !== undefined) throw invalidOption(who, "queue", "one that can delay", `${service}: ${lacks.delay}`);

  async function send(parts: readonly [Part, ...Part[]], context: Context | undefined): Promise<Receipt> {
    const [first] = parts;
    const sending: Writable<SendOptions> = {};
    if (context !== undefined) {
      sending.signal = context.signal;
      sending.correlationId = context.correlationId;
    }
    const named = key?.(first);
    if (named !== undefined) sending.key = named;
    if (id !== undefined) sending.id = id(first);
    if (delayMs > 0) sending.delayMs = delayMs;
    if (headers !== undefined) sending.headers = headers;
    const sent = await queue.send(parts, sending);
    return { messageId: sent.messageId, name: queue.name, status: "queued", id: sent.id };
  }
  const received = (receipt: Receipt): Part => json({ ...receipt }, { role: "tool", substream: "status" });
  const withReceipt = (part: Part, receipt: Receipt): Part => derive(part, { metadata: { ...part.metadata, queue: receipt } });

  async function sendOne(part: Part, context: Context): Promise<Part> {
    const receipt = await send([part], context);
    return emit === "receipt" ? received(receipt) : withReceipt(part, receipt);
  }
  async function* publish(input: AsyncIterable<Part>, context?: Context): AsyncGenerator<Part> {
    const held: Part[] = [];
    let bytes = 0;
    for await (const part of input) {
      bytes += sizeOf(part);
      if (bytes > maxHeldBytes) throw new MillraceError("too_large", `${who}: the parts of one message may have ${maxHeldBytes} bytes, got more`);
      held.push(part);
    }
    const [first, ...rest] = held.filter((part) => match(part));
    const taken = new Set([first, ...rest]);
    if (first === undefined) return yield* held;
    const receipt = await send([first, ...rest], context);
    if (emit === "receipt") yield received(receipt);
    for (const part of held) {
      if (!taken.has(part)) yield part;
      else if (emit === "part") yield withReceipt(part, receipt);
    }
  }
  if (message === "all") return publish;
  return processorOf([
    { kind: "operation", name: who, concurrency, ordered: true, open: () => (part, context) => (match(part) ? sendOne(part, context) : PASS) },
  ]);
}

function isContent({ kind }: Part): boolean {
  return kind !== "finish" && kind !== "error";
}
