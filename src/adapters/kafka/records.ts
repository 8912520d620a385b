/**
 * Records of a Kafka log: what a fetch brings, and what stands in a record beside its body.
 *
 * Source: kafka.apache.org/documentation/#recordbatch, #controlbatch.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type Message, type ReadMessage, validCorrelationId, validTraceparent } from "../../kinds/envelope.ts";
import { isKey, isMessageId } from "../../kinds/queue.ts";
import { compact } from "../../wire/json-shape.ts";

/** One record, as it lies in the log. `value` is null in a tombstone. */
export interface LogRecord {
  readonly offset: bigint;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly (readonly [Uint8Array | null, Uint8Array | null])[];
  /** In the log, decompressed: key, value, headers and a few. */
  readonly bytes: number;
  /** It is in a form that cannot be read: this is its first byte of version. */
  readonly magic?: number;
}

/** The fields that are read of what a fetch brings of one partition. */
export interface Fetched {
  readonly records?: readonly FetchedBatch[] | null;
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[] | null;
}

interface FetchedBatch {
  readonly firstOffset: bigint;
  readonly lastOffsetDelta: number;
  readonly magic: number;
  readonly attributes: number;
  readonly producerId: bigint;
  readonly records: readonly (Omit<LogRecord, "offset" | "bytes"> & { readonly offsetDelta: number; readonly length: number })[];
}

const transactional = 1 << 4;
const control = 1 << 5;
/** In the key of a control record, behind two bytes of version. */
const abortMarker = 0;

/**
 * The records from an offset on, and where the next fetch begins. Records of aborted transactions are left out: the client does so only
 * where the marker of the end came with the same fetch.
 */
export function recordsIn({ records, abortedTransactions }: Fetched, from: bigint): { readonly records: readonly LogRecord[]; readonly next: bigint } {
  const read: LogRecord[] = [];
  const aborted = [...(abortedTransactions ?? [])].sort((a, b) => Number(a.firstOffset - b.firstOffset));
  const aborting = new Set<bigint>();
  let next = from;
  for (const batch of records ?? []) {
    if (batch.magic !== 2) {
      // nothing else of it can be trusted, so it is one record at its place
      const offset = batch.firstOffset > next ? batch.firstOffset : next;
      read.push({ offset, key: null, value: new Uint8Array(), headers: [], bytes: 0, magic: batch.magic });
      next = offset + 1n;
      continue;
    }
    const last = batch.firstOffset + BigInt(batch.lastOffsetDelta);
    for (let first = aborted[0]; first !== undefined && first.firstOffset <= last; first = aborted[0]) {
      aborting.add(first.producerId);
      aborted.shift();
    }
    if ((batch.attributes & control) !== 0) {
      if (isAbort(batch)) aborting.delete(batch.producerId);
    } else if ((batch.attributes & transactional) === 0 || !aborting.has(batch.producerId)) {
      for (const { offsetDelta, key, value, headers, length: bytes } of batch.records) {
        const offset = batch.firstOffset + BigInt(offsetDelta);
        if (offset >= from) read.push({ offset, key, value, headers, bytes });
      }
    }
    if (last >= next) next = last + 1n;
  }
  return { records: read, next };
}

function isAbort({ records }: FetchedBatch): boolean {
  const key = records[0]?.key;
  return key !== null && key !== undefined && key.byteLength >= 4 && new DataView(key.buffer, key.byteOffset).getInt16(2) === abortMarker;
}

/** Headers of a record that are read; a header may have as many bytes as the record. */
const maxHeaders = 64;
const maxHeaderBytes = 4_096;

const names = {
  contentType: Buffer.from("content-type"),
  messageId: Buffer.from("message-id"),
  correlationId: Buffer.from("correlation-id"),
  traceparent: Buffer.from("traceparent"),
};

/** Headers beside a body: what other programs look at, who do not know our envelope. */
export function headersOf({ id, correlationId, traceparent }: Message, contentType: Buffer): Map<Buffer, Buffer> {
  const headers = new Map<Buffer, Buffer>();
  headers.set(names.contentType, contentType);
  headers.set(names.messageId, Buffer.from(id));
  headers.set(names.correlationId, Buffer.from(correlationId));
  if (traceparent !== undefined) headers.set(names.traceparent, Buffer.from(traceparent));
  return headers;
}

/** What headers tell of a message whose body tells nothing of it: one in a form of others. */
export function toldBy(record: LogRecord): Pick<ReadMessage, "id" | "correlationId" | "traceparent" | "headers"> {
  const { "message-id": id, "correlation-id": correlationId, traceparent, "content-type": _, ...headers } = headersIn(record);
  const tracing = { correlationId: validCorrelationId(correlationId), traceparent: validTraceparent(traceparent) };
  return compact({ ...tracing, id: isMessageId(id) ? id : undefined, headers });
}

/** Headers that are text of a sensible size, the first of each name. */
function headersIn({ headers }: LogRecord): Readonly<Partial<Record<string, string>>> {
  const read = new Map<string, string>();
  for (const [name, value] of headers.slice(0, maxHeaders)) {
    if (name === null || value === null || name.byteLength > 256 || value.byteLength > maxHeaderBytes) continue;
    const [key, text] = [textIn(name), textIn(value)];
    if (key !== undefined && key !== "__proto__" && text !== undefined && !read.has(key)) read.set(key, text);
  }
  return Object.fromEntries(read);
}

/** The ordering key, as text; what none of ours can be gets a text of its own, so that it keeps an order too, here and where it is sent on. */
export function keyIn({ key }: LogRecord): string | undefined {
  if (key === null) return undefined;
  const text = textIn(key);
  if (isKey(text)) return text;
  const encoded = `base64:${Buffer.from(key).toString("base64")}`;
  return isKey(encoded) ? encoded : `sha256:${createHash("sha256").update(key).digest("hex")}`;
}

function textIn(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
