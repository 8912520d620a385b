/**
 * Ids of any text as UUIDs, which is all that Weaviate takes: version 5, by name.
 *
 * Source: RFC 9562 §5.5
 *
 * @module
 */

/** The names are ids of ours: a namespace of our own, made once at random. */
const namespace = Uint8Array.of(0xa4, 0xc5, 0x9f, 0x56, 0x03, 0xee, 0x4d, 0x44, 0xb7, 0x5b, 0x49, 0xc6, 0xa0, 0x4f, 0x09, 0x75);

/** The UUID of a text, the same everywhere. */
export async function uuidOf(name: string): Promise<string> {
  const bytes = new TextEncoder().encode(name);
  const both = new Uint8Array(namespace.length + bytes.length);
  both.set(namespace);
  both.set(bytes, namespace.length);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", both)).slice(0, 16);
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  return hex(hash).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A text of any length as 64 characters. */
export async function hashOf(text: string): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
