/**
 * What is worth keeping of an answer, and how it lies in a store that others share.
 *
 * An entry is "mrc" and its version, a tag of 32 bytes over key and body, and the body: encoded parts as JSON. The tag makes an
 * entry that was damaged, cut, or put under another key a miss; with a secret also one that somebody else wrote.
 *
 * @module
 */
import { finish } from "../../core/constructors.ts";
import type { FinishPart, Part } from "../../core/part.ts";
import { isReset } from "../../core/reset.ts";
import { isTrustedSystem } from "../../core/system-brand.ts";
import type { Digest } from "./cache-key.ts";
import { decodeParts, encodeParts } from "./encoded-parts.ts";

const magic = new Uint8Array([0x6d, 0x72, 0x63, 1]); // "mrc", version 1
const tagBytes = 32;
const headBytes = magic.length + tagBytes;

/**
 * Why an answer is not kept; nothing for one that is.
 *
 * What ends with a finish part is a model's answer, and must have ended with `stop` (with `tool_calls` too where tool calls
 * are kept). What has none is no model's: its natural end is enough, since a stream that was cut throws.
 */
export function notStorable(parts: readonly Part[], storeToolCalls: boolean): string | undefined {
  let last: string | undefined;
  for (const part of parts) {
    if (part.kind === "error") return "error part";
    if (part.kind === "toolCall" && !storeToolCalls) return "tool call";
    if (isReset(part)) return "restarted";
    if (isTrustedSystem(part)) return "system part"; // what is kept is data, which nobody trusts: a hit would not be the same
    if (part.kind !== "finish") continue;
    if (part.reason !== "stop" && part.reason !== "tool_calls") return `finish reason ${part.reason}`;
    last = part.reason;
  }
  return last === "tool_calls" && !storeToolCalls ? "tool call" : undefined;
}

/** The same finish part as it is seen by those who did not cause the call: nothing was used for them. */
export function unpaid(part: FinishPart, how: "hit" | "coalesced"): FinishPart {
  const { reason, rawReason, model, role, substream, mimeType } = part;
  const metadata = { ...part.metadata, cache: how };
  return finish({ reason, rawReason, model, usage: { inputTokens: 0, outputTokens: 0 } }, { role, substream, mimeType, metadata });
}

/** Parts as bytes. Throws `invalid_input` for parts that are no data, with handles in their metadata for one. */
export async function packEntry(key: string, parts: readonly Part[], digest: Digest): Promise<Uint8Array> {
  const body = new TextEncoder().encode(JSON.stringify(encodeParts(parts)));
  const entry = new Uint8Array(headBytes + body.byteLength);
  entry.set(magic);
  entry.set(await tagOf(key, body, digest), magic.length);
  entry.set(body, headBytes);
  return entry;
}

/** Parts of an entry, new ones at each call; `undefined` for anything that is not the entry of this key, whole. */
export async function unpackEntry(key: string, entry: Uint8Array, digest: Digest): Promise<Part[] | undefined> {
  if (entry.byteLength < headBytes || magic.some((byte, index) => entry[index] !== byte)) return undefined;
  const body = entry.slice(headBytes);
  const tag = await tagOf(key, body, digest);
  let difference = 0; // looked at to its end: how far a forged tag is right is not told by time
  for (let at = 0; at < tagBytes; at += 1) difference |= (tag[at] ?? 0) ^ (entry[magic.length + at] ?? 0);
  if (difference !== 0) return undefined;
  try {
    const values: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    return Array.isArray(values) ? decodeParts(values) : undefined;
  } catch {
    return undefined; // written by a version whose parts this one does not know
  }
}

function tagOf(key: string, body: Uint8Array, digest: Digest): Promise<Uint8Array> {
  const name = new TextEncoder().encode(key);
  const all = new Uint8Array(name.byteLength + 1 + body.byteLength); // a zero between them: no key holds one
  all.set(name);
  all.set(body, name.byteLength + 1);
  return digest(all);
}
