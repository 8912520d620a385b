/**
 * Opening a file: an index of FAISS, and our records behind it if it is one of ours.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import { checkedMetadata } from "../../core/json-border.ts";
import { noMetadata } from "../../core/part.ts";
import type { VectorMetric } from "../../kinds/vector-store.ts";
import { type ByteSource, byteSource, damaged } from "./byte-source.ts";
import type { Entry, Loaded } from "./collection.ts";
import { fileFault, type Stamp, stampOf } from "./file-stamp.ts";
import { recordsVersion } from "./file-layout.ts";
import { readIndex } from "./read-index.ts";
import { lengthOf, type VectorRows, vectorRows } from "./rows.ts";

/** Vectors of a file are at length 1 when they are no further from it than single precision has it after some arithmetic. */
const tolerance = 1e-3;

/** What the caller says that a file holds. */
export interface Wanted {
  readonly service: string;
  readonly dimensions: number;
  readonly metric: VectorMetric;
}

/** A file that was read: what it holds, and which file it was. Nothing when there is none. */
export async function loadFile(path: string, wanted: Wanted): Promise<(Loaded & { readonly stamp: Stamp }) | undefined> {
  const { open } = await import("node:fs/promises");
  const { basename } = await import("node:path");
  const who = `${wanted.service}: "${basename(path)}"`;
  try {
    const handle = await open(path, "r").catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    });
    if (handle === undefined) return undefined;
    try {
      const stats = await handle.stat({ bigint: true });
      const source = await byteSource(who, handle, Number(stats.size));
      return { ...(await read(source, wanted)), stamp: stampOf(stats) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileFault(who, error);
  }
}

async function read(source: ByteSource, { service, dimensions, metric }: Wanted): Promise<Loaded> {
  const { who } = source;
  const rows = vectorRows(service, dimensions, metric);
  let isScaled = false;
  const { keys, graph, count, isMarked } = await readIndex(source, (header) => {
    if (header.dimensions !== dimensions) throw conflict(who, `vectors of ${header.dimensions} dimensions, the options say ${dimensions}`);
    if ((header.metric === "l2") !== (metric === "l2")) throw conflict(who, `an index of ${header.metric === "l2" ? "L2" : "the inner product"}, the options say ${metric}`);
    return (vector) => {
      const length = lengthOf(vector);
      if (!Number.isFinite(length)) throw damaged(who, `vector ${rows.count} has numbers that are not finite`);
      if (Math.abs(length - 1) > tolerance) isScaled = true;
      rows.append(vector);
    };
  });
  if (!isMarked && source.left > 0) throw damaged(who, `${source.left} bytes follow its index`);
  const entries = isMarked ? await readRecords(source, rows, keys) : Array.from({ length: count }, (_, row) => numbered(keys?.[row] ?? BigInt(row)));
  // a graph of other lengths was built by another nearness than the cosine
  const isOfUse = graph !== undefined && !(metric === "cosine" && isScaled);
  return isOfUse ? { rows, entries, graph } : { rows, entries };
}

/** A row of a file that others wrote: its number is its id. */
function numbered(key: bigint): Entry | undefined {
  return key === -1n ? undefined : { id: String(key), metadata: noMetadata, key };
}

async function readRecords(source: ByteSource, { count, metric }: VectorRows, keys: BigInt64Array | undefined): Promise<readonly (Entry | undefined)[]> {
  const { who } = source;
  const version = (await source.take(4)).getUint32(0, true);
  if (version !== recordsVersion) throw conflict(who, `records of version ${version}, this reads version ${recordsVersion}`);
  const said = await readJson(source);
  const entries: (Entry | undefined)[] = [];
  for (let row = 0; row < count; row += 1) entries.push(toEntry(who, await readJson(source), keys?.[row]));
  const expected = source.digest();
  const digest = await source.take(expected.length);
  if (!expected.equals(new Uint8Array(digest.buffer, digest.byteOffset, digest.byteLength))) throw damaged(who, "its checksum is another");
  if (source.left > 0) throw damaged(who, `${source.left} bytes follow its checksum`);
  if (typeof said !== "object" || said === null || !("metric" in said)) throw damaged(who, "it does not say its metric");
  if (said.metric !== metric) throw conflict(who, `vectors of ${received(said.metric)}, the options say ${metric}`);
  return entries;
}

async function readJson(source: ByteSource): Promise<unknown> {
  const size = (await source.take(4)).getUint32(0, true);
  if (size === 0) return undefined;
  const json = await source.take(size);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (cause) {
    throw damaged(source.who, "a record is no JSON", cause);
  }
}

function toEntry(who: string, record: unknown, key: bigint | undefined): Entry | undefined {
  if (record === undefined) return undefined;
  const [id, metadata, text]: readonly unknown[] = Array.isArray(record) ? record : [];
  if (typeof id !== "string" || key === undefined || (text !== undefined && typeof text !== "string")) throw damaged(who, `a record is ${received(record)}`);
  const entry = { id, metadata: checkedMetadata(metadata, `${who} metadata`), key };
  return text === undefined ? entry : { ...entry, text };
}

function conflict(who: string, what: string): MillraceError {
  return new MillraceError("conflict", `${who} holds ${what}`, { service: "faiss", scope: "process" });
}
