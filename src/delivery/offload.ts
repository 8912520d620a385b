/**
 * Messages that are too large for a queue: their parts are in a blob store, the message says where.
 *
 * @module
 */
import { codec } from "../core/codec.ts";
import { uri } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { joinBytes } from "../core/join-bytes.ts";
import type { Part } from "../core/part.ts";
import type { BlobStore } from "../kinds/blob-store.ts";
import { requireBlobStore } from "../kinds/blob-verbs.ts";
import { type Delivery, type Queue, type QueueOpenOptions, requireQueue } from "../kinds/queue.ts";
import { changed, changedQueue } from "./changed.ts";

/** Of what stands in the message: a single address of this type. */
const mimeType = "application/vnd.millrace.offloaded+json";

/** What `offload` may be told. */
export interface OffloadOptions {
  /** Messages whose parts have more bytes, as they are written, go to the store. @default 262_144 (256 KiB) */
  readonly overBytes?: number;
  /** Bytes of a message in the store at most, written or read. @default 67_108_864 (64 MiB) */
  readonly maxBytes?: number;
  /** Begins the keys. Nothing outside of it is read. @default "messages/" */
  readonly prefix?: string;
  /**
   * Deletes the parts once the message is acknowledged. Not where others read the same message: other groups, or a dead letter
   * that was sent back by hand. @default false: let the store expire them
   */
  readonly deleteOnAck?: boolean;
}

/**
 * The same queue for messages of any size. Both ends need it: who reads without it gets a `uri` part of the type
 * `application/vnd.millrace.offloaded+json`.
 *
 * Throws: `send`, `too_large` above `maxBytes`, and what queue and store throw. A message whose parts cannot be had is delivered as one
 *         that cannot be read, with the store's error: a worker pauses when the store is out of reach, and sets aside what is gone.
 * Closes: the queue; the store belongs to the caller.
 *
 * @example
 * await using blobs = memoryBlobStore();
 * await using queue = offload(memoryQueue({ name: "scans" }), blobs);
 * await queue.send([image(new Uint8Array(5_000_000))]);
 * for await (const { parts } of queue.open({ signal: new AbortController().signal, maxInFlight: 1 })) {
 *   console.log(parts[0]?.kind === "bytes" && parts[0].bytes.byteLength); // 5000000
 *   break;
 * }
 */
export function offload(queue: Queue, store: BlobStore, options: OffloadOptions = {}): Queue {
  requireQueue("offload", queue);
  requireBlobStore("offload", store);
  const { prefix = "messages/", deleteOnAck = false } = options;
  const overBytes = wholeNumber("offload", "overBytes", options.overBytes ?? 262_144, 0);
  const maxBytes = wholeNumber("offload", "maxBytes", options.maxBytes ?? 67_108_864, 1);
  if (typeof prefix !== "string" || prefix === "") throw invalidOption("offload", "prefix", "the beginning of a key", prefix);
  if (typeof deleteOnAck !== "boolean") throw invalidOption("offload", "deleteOnAck", "a boolean", deleteOnAck);

  /** The key of an address that is one of ours: an address comes from outside, and must not lead to other blobs. */
  const keyOf = (address: string): string => {
    const key = store.keyOf(address);
    if (key !== undefined && key.startsWith(prefix) && /^[0-9a-f-]{36}\.json$/.test(key.slice(prefix.length))) return key;
    throw new MillraceError("refused", "offload: a message names a blob that is none of a message");
  };
  const read = async (key: string, signal: AbortSignal): Promise<Part[]> => {
    const content = await store.get(key, { signal });
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of content) {
      size += piece.byteLength;
      if (size > maxBytes) throw new MillraceError("too_large", `offload: a message may have ${maxBytes} bytes, got more`);
      pieces.push(piece);
    }
    return partsIn(joinBytes(pieces));
  };
  const delivered = async (delivery: Delivery, signal: AbortSignal): Promise<Delivery> => {
    const [part] = delivery.parts;
    if (delivery.parts.length !== 1 || part?.kind !== "uri" || part.mimeType !== mimeType || delivery.unreadable !== undefined) return delivery;
    try {
      const key = keyOf(part.uri);
      const parts = await read(key, signal);
      if (!deleteOnAck) return changed(delivery, { parts });
      const ack = async (): Promise<void> => {
        await delivery.ack();
        await store.delete([key]).catch(ignore); // left over; the message is done with
      };
      return changed(delivery, { parts, ack });
    } catch (error) {
      signal.throwIfAborted();
      const known = isMillraceError(error) ? error : new MillraceError("bad_response", "offload: the store failed", { cause: error });
      return changed(delivery, { unreadable: known });
    }
  };

  return changedQueue(queue, {
    async send(parts, sending = {}) {
      sending.signal?.throwIfAborted();
      const all = [...parts];
      const body = new TextEncoder().encode(JSON.stringify(all.map(codec.encode)));
      if (body.byteLength <= overBytes) return queue.send(all, sending);
      if (body.byteLength > maxBytes) throw new MillraceError("too_large", `offload: a message may have ${maxBytes} bytes, got ${body.byteLength}`);
      const key = `${prefix}${crypto.randomUUID()}.json`;
      const { signal } = sending;
      await store.put(key, [body], { mimeType: "application/json", size: body.byteLength, ...(signal === undefined ? {} : { signal }) });
      return queue.send([uri(store.uriOf(key), mimeType)], sending); // should it fail, the blob is left over
    },
    async *open(opening: QueueOpenOptions) {
      for await (const delivery of queue.open(opening)) yield await delivered(delivery, opening.signal);
    },
  });
}

function partsIn(body: Uint8Array): Part[] {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    throw new MillraceError("invalid_input", "offload: the parts of a message are no JSON", { cause });
  }
  if (!Array.isArray(value)) throw new MillraceError("invalid_input", "offload: the parts of a message are no array");
  return value.map((encoded) => codec.decode(encoded)).map((part) => (part.role === "system" ? derive(part, { role: "user" }) : part));
}
