/**
 * Which keys a blob may have, the same in every store.
 *
 * @module
 */
import { invalidOption, MillraceError, received } from "../core/errors.ts";

/** Bytes of UTF-8: what S3 and Google Storage allow. */
const maxKeyBytes = 1_024;

const encoder = new TextEncoder();

/**
 * Refuses what is no key, or would be another key, or a place outside, in some store.
 *
 * Throws `invalid_input` for no text, an empty one, lone surrogates and more than 1,024 bytes; `refused` for control
 * characters, backslashes, an empty segment (so a slash at either end, or two in a row) and the segments `.` and `..`.
 */
export function checkKey(who: string, key: unknown): string {
  if (typeof key !== "string" || key === "" || /\p{Surrogate}/u.test(key)) {
    throw invalidOption(who, "key", "a text of well-formed characters", key);
  }
  const size = encoder.encode(key).byteLength;
  if (size > maxKeyBytes) {
    throw new MillraceError("invalid_input", `${who}: key must be at most ${maxKeyBytes} bytes long, got ${size}`);
  }
  if (/[\u0000-\u001f\u007f\\]/.test(key) || key.split("/").some((segment) => segment === "" || segment === "." || segment === "..")) {
    throw new MillraceError("refused", `${who}: key must have no control character, backslash, empty segment, "." or "..", got ${received(key)}`);
  }
  return key;
}

/**
 * Any text as one segment of a key: letters, digits, `-`, `_` and inner dots stay, all else is percent-encoded, so that
 * two texts never share a name and none leads elsewhere.
 */
export function encodeId(who: string, id: unknown): string {
  if (typeof id !== "string" || id === "" || /\p{Surrogate}/u.test(id)) {
    throw invalidOption(who, "id", "a text of well-formed characters", id);
  }
  return encodeURIComponent(id).replace(/[!'()*~]|^\.|\.$/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
