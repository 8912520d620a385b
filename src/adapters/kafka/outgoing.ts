/**
 * Messages on their way to a topic, and where they go.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { KafkaPackage } from "./client.ts";

/** Bytes of a batch: what brokers take of one partition unless they are told otherwise, less its head. A larger message goes alone. */
export const batchBytes = 1_000_000;
/** Bytes of a record beside key, value and headers, at most. */
const recordBytes = 64;

/** A message to send. */
export interface Outgoing {
  readonly key: string | undefined;
  readonly value: Uint8Array;
  readonly headers: Map<Buffer, Buffer>;
}

/** Where a message was stored. */
export interface Place {
  readonly partition: number;
  readonly offset: bigint;
}

/** Where a message goes: by its key, where Kafka's own client would put it; else to whose turn it is. */
export function partitionOf(kafka: KafkaPackage | undefined, key: string | undefined, turn: number, count: number): number {
  if (key === undefined || kafka === undefined) return turn % count;
  return (kafka.murmur2(Buffer.from(key)) & 0x7fff_ffff) % count;
}

/** Bytes of a message in a batch, at most. */
export function sizeOf({ key, value, headers }: Outgoing): number {
  let bytes = value.byteLength + recordBytes + 3 * (key?.length ?? 0);
  for (const [name, header] of headers) bytes += name.byteLength + header.byteLength + 4;
  return bytes;
}
