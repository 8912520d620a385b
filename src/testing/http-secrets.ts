/**
 * What of an HTTP exchange must not lie in a file.
 *
 * @module
 */
import { joinBytes } from "../core/join-bytes.ts";

/** Names of headers and query parameters whose values are secrets: `authorization`, `x-api-key`, `key`, `X-Amz-Signature`, `set-cookie`, … */
const secretName = /auth|key|token|secret|passw|signature|\bsig\b|credential|cookie|session|bearer/i;
/** Names that the pattern meets and that hold none. */
const harmlessName = /^(idempotency-key|x-ratelimit-.*|anthropic-ratelimit-.*|sec-.*|.*-tokens?-(limit|remaining|reset).*)$/i;

/** What stands in a secret's place. */
export const redacted = "[redacted]";

/** Shorter ones would blank out ordinary words. */
const minSecretChars = 6;

/** Is the value of a header or parameter of this name a secret? */
export function isSecretName(name: string): boolean {
  return secretName.test(name) && !harmlessName.test(name);
}

/** An address without user, password and the values of secret parameters; what was left out goes to `secrets`. */
export function redactUrl(address: string, secrets: Set<string>): string {
  const url = new URL(address);
  for (const part of [url.username, url.password]) if (part !== "") secrets.add(decodeURIComponent(part));
  url.username = "";
  url.password = "";
  const given = Array.from(url.searchParams); // changed below while they are read
  for (const [name, value] of given) {
    if (!isSecretName(name)) continue;
    secrets.add(value);
    url.searchParams.set(name, redacted);
  }
  return url.href;
}

/** Headers without the values of secret ones; what was left out goes to `secrets`, also without its scheme. */
export function redactHeaders(headers: Headers, secrets: Set<string>): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const [name, value] of headers) {
    if (!isSecretName(name)) {
      shown[name] = value;
      continue;
    }
    shown[name] = redacted;
    secrets.add(value);
    const [, bare] = /^\w+\s+(\S+)$/.exec(value) ?? []; // "Bearer …", "Basic …"
    if (bare !== undefined) secrets.add(bare);
  }
  return shown;
}

/** A text in which secrets are blanked out. */
export function blankText(text: string, secrets: Iterable<string>): string {
  let shown = text;
  for (const secret of longestFirst(secrets)) shown = shown.replaceAll(secret, redacted);
  return shown;
}

/**
 * Pieces of bytes in which secrets are blanked out, also those that begin in one piece and end in another. Sizes stay: where the
 * bytes were cut is what is recorded.
 */
export function blankBytes(pieces: readonly Uint8Array[], secrets: Iterable<string>): Uint8Array[] {
  const all = joinBytes(pieces);
  for (const secret of longestFirst(secrets)) {
    const sought = new TextEncoder().encode(secret);
    for (let found = indexOf(all, sought, 0); found !== -1; found = indexOf(all, sought, found + sought.byteLength)) {
      all.fill(0x2a, found, found + sought.byteLength); // an asterisk: valid inside any JSON text
    }
  }
  let at = 0;
  return pieces.map((piece) => all.subarray(at, (at += piece.byteLength)));
}

function longestFirst(secrets: Iterable<string>): string[] {
  return [...secrets].filter((secret) => secret.length >= minSecretChars).sort((a, b) => b.length - a.length);
}

function indexOf(all: Uint8Array, sought: Uint8Array, from: number): number {
  const [first] = sought;
  if (first === undefined) return -1;
  for (let at = all.indexOf(first, from); at !== -1; at = all.indexOf(first, at + 1)) {
    if (at + sought.byteLength > all.byteLength) return -1;
    if (sought.every((byte, index) => all[at + index] === byte)) return at;
  }
  return -1;
}
