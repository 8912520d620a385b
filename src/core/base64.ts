/**
 * Base64 without a module of any runtime: the language's own where it has it, Node's buffer, else a table.
 *
 * @module
 */
import { MillraceError, received } from "./errors.ts";

/** What newer engines have on `Uint8Array`. */
interface Native {
  toBase64?(this: Uint8Array): string;
}
interface NativeStatic {
  fromBase64?(text: string): Uint8Array;
}
/** What Node and its likes have as a global. */
interface BufferLike {
  from(data: ArrayBufferLike, offset: number, length: number): { toString(encoding: "base64"): string };
  from(text: string, encoding: "base64"): Uint8Array;
}

const native = Uint8Array.prototype as Native;
const nativeStatic = Uint8Array as unknown as NativeStatic;
const buffer = (globalThis as { readonly Buffer?: BufferLike }).Buffer;

/** Characters that `String.fromCharCode` takes at once without running out of stack. */
const chunk = 0x2000;

/** Bytes as standard base64 with padding. */
export function toBase64(bytes: Uint8Array): string {
  if (native.toBase64 !== undefined) return native.toBase64.call(bytes);
  if (buffer !== undefined) return buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  let binary = "";
  for (let at = 0; at < bytes.length; at += chunk) binary += String.fromCharCode(...bytes.subarray(at, at + chunk));
  return btoa(binary);
}

/**
 * The bytes of a base64 text: either alphabet, with or without padding.
 *
 * Throws `invalid_input` for anything else, white space too.
 */
export function fromBase64(text: string): Uint8Array {
  const standard = standardOf(text);
  if (nativeStatic.fromBase64 !== undefined) return nativeStatic.fromBase64(standard);
  if (buffer !== undefined) {
    const decoded = buffer.from(standard, "base64");
    return new Uint8Array(decoded.buffer, decoded.byteOffset, decoded.byteLength);
  }
  const binary = atob(standard);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

const alphabet = /^[A-Za-z0-9+/]*$/;
/** The last character before padding may carry no bits beyond the last byte: there is one text for each content. */
const lastOfTwo = /[AQgw]$/;
const lastOfThree = /[AEIMQUYcgkosw048]$/;

function standardOf(text: string): string {
  if (typeof text !== "string") throw invalid(text);
  let end = text.length;
  while (end > 0 && text.length - end < 2 && text[end - 1] === "=") end -= 1;
  const padding = text.length - end;
  let body = end === text.length ? text : text.slice(0, end);
  if (body.includes("-") || body.includes("_")) {
    if (body.includes("+") || body.includes("/")) throw invalid(text); // two alphabets in one text
    body = body.replaceAll("-", "+").replaceAll("_", "/");
  }
  const rest = body.length % 4;
  const right = padding === 0 || (rest + padding) % 4 === 0;
  const whole = rest === 0 || (rest === 2 && lastOfTwo.test(body)) || (rest === 3 && lastOfThree.test(body));
  if (!right || !whole || (rest === 0 && padding > 0) || !alphabet.test(body)) throw invalid(text);
  return rest === 0 ? body : body + "=".repeat(4 - rest);
}

function invalid(text: unknown): MillraceError {
  const what = typeof text === "string" ? received(text.slice(0, 40)) : received(text);
  return new MillraceError("invalid_input", `base64: needs base64 of either alphabet, got ${what}`);
}
