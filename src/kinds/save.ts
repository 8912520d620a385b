/**
 * The verb that writes to a blob store.
 *
 * @module
 */
import { uri } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, MillraceError, received, wholeNumber } from "../core/errors.ts";
import { PASS } from "../core/flow.ts";
import { checkedJson } from "../core/json-border.ts";
import { endingOf } from "../core/mime-types.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Context, Processor } from "../core/processor.ts";
import { checkKey } from "./blob-keys.ts";
import type { BlobInfo, BlobPutOptions, BlobStore } from "./blob-store.ts";
import { bounded } from "./blob-store.ts";
import { asFaultOfPart, placeOf, requireAbility, requireBlobStore } from "./blob-verbs.ts";
import { fieldsOf, isStorable, type StorablePart } from "./stored-part.ts";

const who = "save";

/** What `save` may be told. */
export interface SaveOptions {
  /**
   * The key of a part, behind the prefix. `ordinal` counts the parts that this stage saves in a run, from 0, in their order; a `retry`
   * counts on. @default one that no other part gets: the run's id, a number and the ending for the mime type
   */
  readonly key?: (part: Part, ordinal: number, context: Context) => string | Promise<string>;
  /** Begins every key, usually with a slash at its end: `answers/`. Nothing that a key says leads out of it. @default "" */
  readonly prefix?: string;
  /** What goes on: a `uri` part with the address, or the part itself. @default "uri" */
  readonly emit?: "uri" | "part";
  /** A key that is taken gets the new content; otherwise it is a `conflict`. @default false */
  readonly overwrite?: boolean;
  /** Which parts with content are saved; the others pass by. @default all */
  readonly match?: (part: Part) => boolean;
  /** Writes in progress at most. @default 1 */
  readonly concurrency?: number;
}

/**
 * Writes each part to a blob store, and hands on its address once the store has confirmed the write.
 *
 * Text is written in UTF-8 and its mime type says so, JSON as JSON. Kind, role, mime type and metadata are kept with the blob where
 * the store keeps metadata, so that `load` gives the part back; where they are large, in a blob beside it named `<key>.part-….json`.
 * Nobody deletes that one, as another version of the blob, or a reader who has just opened one, may need it: who deletes a blob for
 * good deletes what the store lists under the prefix `<key>.part-` too. A part that is written again, by a `retry` or a second
 * delivery, gets a second default key; give a `key` of its content, with `overwrite`, if it must not.
 *
 * Reads:  text, bytes and JSON parts; the others pass by, addresses too.
 * Yields: in its place, a uri part with mime type, role, substream and metadata of the part; with `emit: "part"` the part itself. Both
 *         with `metadata.blob` of `{ uri, key, size, version }`.
 * Throws: `conflict` of scope `part` for a key that is taken, unless `overwrite`; `refused` and `invalid_input` for a key that
 *         is none, `invalid_input` for JSON or metadata that is none and for bad options; `too_large` for more than 256 KiB of
 *         metadata; whatever the store throws.
 * Closes: nothing; the store belongs to the caller. A write that is aborted leaves nothing under its key.
 *
 * @example
 * await using store = memoryBlobStore();
 * const [saved] = await run(save(store, { prefix: "answers/" }), "We go on Tuesday.").collect();
 * console.log(saved?.kind === "uri" && saved.uri, saved?.mimeType); // memory://blobs/answers/… text/plain
 */
export function save(store: BlobStore, options: SaveOptions = {}): Processor {
  requireBlobStore(who, store);
  const { key: keyFor, prefix = "", emit = "uri", overwrite = false, match, concurrency = 1 } = options;
  if (keyFor !== undefined && typeof keyFor !== "function") throw invalidOption(who, "key", "a function", keyFor);
  checkPrefix(prefix);
  if (emit !== "uri" && emit !== "part") throw invalidOption(who, "emit", '"uri" or "part"', emit);
  if (typeof overwrite !== "boolean") throw invalidOption(who, "overwrite", "a boolean", overwrite);
  if (match !== undefined && typeof match !== "function") throw invalidOption(who, "match", "a function", match);
  wholeNumber(who, "concurrency", concurrency, 1);
  if (!overwrite) requireAbility(who, store, "ifAbsent", "writing without overwrite");

  const ofThisStage = Symbol("millrace.save");
  async function write(part: StorablePart, ordinal: number, context: Context): Promise<Part> {
    const { signal } = context;
    const name = keyFor === undefined ? uniqueName(part, ordinal, context) : checkKey(who, await keyFor(part, ordinal, context));
    const key = checkKey(who, prefix + name);
    signal.throwIfAborted();
    const metadata = store.lacks.metadata === undefined ? await fieldsOf(store, key, part, signal) : {};
    const content = contentOf(part);
    const asked = { signal, mimeType: typeOf(part), metadata, ifAbsent: !overwrite, size: content.byteLength };
    const blob = placeOf(store, await put(store, key, content, asked));
    const changes = { metadata: { ...part.metadata, blob } };
    if (emit === "part") return derive(part, changes);
    // the role by `derive`: a constructor would take a system part that came from data for one of the program
    return derive(uri(blob.uri, addressTypeOf(part)), { ...changes, role: part.role, substream: part.substream });
  }
  return processorOf([
    {
      kind: "operation",
      name: who,
      concurrency,
      ordered: true,
      inOrder: keyFor !== undefined, // so that ordinals are in the order of the parts
      open: () => (part, context) => {
        if (!isStorable(part) || (match !== undefined && !match(part))) return PASS;
        return write(part, nextOf(context, keyFor === undefined ? ofAllStages : ofThisStage), context);
      },
    },
  ]);
}

/** Room that a prefix leaves for a default key: 36 characters of the run's id, a number, an ending. */
const roomForName = "x".repeat(64);

function checkPrefix(prefix: unknown): void {
  if (typeof prefix !== "string") throw invalidOption(who, "prefix", "a text", prefix);
  try {
    checkKey(who, prefix + roomForName);
  } catch (cause) {
    throw new MillraceError("invalid_input", `${who}: prefix must be the beginning of a key, got ${received(prefix)}`, { cause });
  }
}

/** Where a run keeps the next default name: one for all stages, so that two of them never give the same. */
const ofAllStages = Symbol("millrace.saves");

function nextOf({ state }: Context, counter: symbol): number {
  const next = state.get(counter);
  const ordinal = typeof next === "number" ? next : 0;
  state.set(counter, ordinal + 1);
  return ordinal;
}

/** Says nothing of the content, so that equal parts are two blobs, and nobody can tell from a key what is stored. */
function uniqueName(part: StorablePart, ordinal: number, { runId }: Context): string {
  return `${runId}-${ordinal}${endingOf(part.mimeType) || endings[part.kind]}`;
}

const endings: Readonly<Record<StorablePart["kind"], string>> = { text: ".txt", json: ".json", bytes: "" };

const encoder = new TextEncoder();

function contentOf(part: StorablePart): Uint8Array {
  if (part.kind === "bytes") return part.bytes;
  return encoder.encode(part.kind === "text" ? part.text : JSON.stringify(checkedJson(part.value, "value")));
}

const charset = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;"]*))/i;

/** What the bytes are. A text that was read in another charset still names that one. */
function typeOf({ kind, mimeType }: StorablePart): string {
  if (!/^[\x20-\x7e]+$/.test(mimeType)) throw invalidOption(who, "the mime type of a part", "printable ASCII", mimeType);
  return kind === "text" ? `${mimeType.replace(charset, "")}; charset=utf-8` : mimeType;
}

/** The part's own mime type, as long as it does not lie about the bytes: a store that keeps none has them read by it. */
function addressTypeOf(part: StorablePart): string {
  const [, quoted, plain] = charset.exec(part.mimeType) ?? [];
  const named = quoted ?? plain ?? "utf-8";
  return /^utf-?8$/i.test(named) ? part.mimeType : typeOf(part);
}

async function put(store: BlobStore, key: string, content: Uint8Array, options: BlobPutOptions): Promise<BlobInfo> {
  try {
    return await store.put(key, bounded(content), options); // in pieces, so that an abort is heard between them
  } catch (error) {
    throw asFaultOfPart(error);
  }
}
