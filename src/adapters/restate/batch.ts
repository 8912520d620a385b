/**
 * A stream in numbered batches, as they go over the wire.
 *
 * The cut depends on the parts alone, not on time: the same input has the same batches when a run is taken up again.
 *
 * @module
 */
import { codec } from "../../core/codec.ts";
import { MillraceError, received } from "../../core/errors.ts";
import { utf8Length } from "../../core/part-size.ts";
import type { JsonValue, Part } from "../../core/part.ts";

/** Version of the form below. */
const version = 1;

/** A batch as a worker gets it. */
export interface Batch {
  readonly v: typeof version;
  /** The run it belongs to. */
  readonly run: string;
  /** Its place in the run, from 0. */
  readonly seq: number;
  /** What its parts have in common, in a pipeline with keys. */
  readonly key?: string;
  /** SHA-256 of the parts: tells whether a run that is taken up again has the same input. */
  readonly digest: string;
  readonly parts: readonly JsonValue[];
}

/** What a worker made of a batch. */
export interface BatchResult {
  readonly digest: string;
  readonly parts: readonly JsonValue[];
}

/** How a stream is cut. */
export interface Cut {
  readonly who: string;
  readonly run: string;
  /** Parts in a batch at most. */
  readonly count: number;
  /** Bytes of JSON in a batch at most. */
  readonly maxBytes: number;
  readonly key?: ((part: Part) => string) | undefined;
}

/** Gathers parts into batches: `count` in a row, fewer where they are large; with a key, each such window by its keys. */
export async function* batches(input: AsyncIterable<Part>, cut: Cut): AsyncGenerator<Batch> {
  let seq = 0;
  let size = 0;
  let window: { readonly key: string | undefined; readonly encoded: JsonValue }[] = [];
  const flush = async function* (): AsyncGenerator<Batch> {
    const groups = Map.groupBy(window, ({ key }) => key);
    window = [];
    size = 0;
    for (const [key, group] of groups) {
      yield await sealed(cut.run, seq, key, group.map(({ encoded }) => encoded));
      seq += 1;
    }
  };
  for await (const part of input) {
    const encoded = codec.encode(part);
    const bytes = utf8Length(JSON.stringify(encoded));
    if (bytes > cut.maxBytes) {
      throw new MillraceError("too_large", `${cut.who}: a ${part.kind} part of ${bytes} bytes does not fit into a batch of ${cut.maxBytes}: keep its content in a blob store, and send where it is`, { service: cut.who });
    }
    if (size + bytes > cut.maxBytes) yield* flush();
    window.push({ key: keyOf(part, cut), encoded });
    size += bytes;
    if (window.length >= cut.count) yield* flush();
  }
  yield* flush();
}

function keyOf(part: Part, { who, key }: Cut): string | undefined {
  if (key === undefined) return undefined;
  const value: unknown = key(part);
  if (typeof value === "string" && value.length <= 256 && value.isWellFormed()) return value;
  throw new MillraceError("invalid_input", `${who}: key must give text of up to 256 characters, got ${received(value)}`, { service: who });
}

async function sealed(run: string, seq: number, key: string | undefined, parts: readonly JsonValue[]): Promise<Batch> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(parts)));
  const digest = Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { v: version, run, seq, ...(key === undefined ? {} : { key }), digest, parts };
}

/** A batch that came over the wire, checked; its parts are checked where they are decoded. */
export function readBatch(who: string, value: unknown): Batch {
  const fields = objectOf(value);
  const { v, run, seq, key, digest, parts } = fields;
  const known = v === version && typeof run === "string" && Number.isSafeInteger(seq) && typeof digest === "string" && Array.isArray(parts);
  if (known && (key === undefined || typeof key === "string")) return value as Batch; // just checked, field by field
  throw new MillraceError("invalid_input", `${who}: needs a batch of version ${version}, got ${received(v === undefined ? value : v)}`, { service: who });
}

/** The parts of a result, and of which batch; checked as all that comes over a wire. */
export function readResult(who: string, value: unknown): { readonly digest: string; readonly parts: readonly Part[] } {
  const { digest, parts } = objectOf(value);
  if (typeof digest === "string" && Array.isArray(parts)) return { digest, parts: parts.map(codec.decode) };
  throw new MillraceError("bad_response", `${who}: a result must have digest and parts, got ${received(value)}`, { service: who });
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}; // an object has fields
}
