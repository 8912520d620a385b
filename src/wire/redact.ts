/**
 * What a message may quote of something received: services echo keys and prompts, and messages end up in logs.
 *
 * @module
 */
import { fieldOf } from "./error-fields.ts";

/** Characters quoted at most. */
const maxQuotedChars = 500;

/** This many characters in a row that were also sent are an echo of the request, not the service's own words. */
const echoChars = 24;

/** Any echo holds at least one whole block of the request that starts at a multiple of this. */
const blockChars = echoChars / 2;

/** Secrets shorter than this would blank out ordinary words. */
const minSecretChars = 4;

/** What keys and tokens look like, whoever made them. */
const keyShapes: readonly RegExp[] = [
  /\b(?:sk|pk|rk|gsk|xai|hf|ghp|gho|ghs|pat|key|token|secret)[-_][\w*.-]{8,}/gi, // OpenAI, Stripe, Groq, GitHub, …, masked ones too
  /\bBearer\s+[\w.~+/=*-]{8,}/gi,
  /\bAIza[\w-]{30,}/g, // Google
  /\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, // AWS
  /\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, // JSON web tokens
  /[A-Za-z0-9+/_=-]{40,}/g, // base64, hexadecimal: no word is that long
];

/** What must not be quoted. */
export interface Confidential {
  /** Keys, tokens, header values. */
  readonly secrets: readonly string[];
  /** Text that was sent; asked for only when something is quoted. */
  readonly sent?: () => readonly string[];
}

/** Makes a text fit to be quoted. */
export type Redact = (text: string) => string;

/**
 * Redaction for one call: at most 500 characters, in which secrets, what looks like one, user names and queries of URLs, and
 * any 24 characters in a row that were also sent are replaced by `…`.
 */
export function redaction({ secrets, sent }: Confidential): Redact {
  const known = secrets.filter((secret) => secret.length >= minSecretChars).sort((a, b) => b.length - a.length);
  return (text) => {
    // A secret that is cut in two by the limit is not found any more, so there is room for one behind it.
    const longest = known[0]?.length ?? 0;
    let quoted = text.slice(0, maxQuotedChars + Math.max(longest, 200));
    for (const secret of known) quoted = quoted.replaceAll(secret, "…");
    quoted = withoutCredentials(quoted);
    for (const shape of keyShapes) quoted = quoted.replace(shape, "…");
    if (sent !== undefined) for (const request of sent()) quoted = withoutEcho(quoted, request);
    return quoted.length > maxQuotedChars || text.length > maxQuotedChars + Math.max(longest, 200) ? `${quoted.slice(0, maxQuotedChars)}…` : quoted;
  };
}

/**
 * Without the user names, passwords, queries and fragments of addresses. Whether `x:80/y@z` has a port or a password with a raw slash
 * nobody can tell, so it is taken for a password; and what comes after `x:y?a@b` may be of a query. No pattern looks beyond the next
 * `://`: each sign is read a few times at most.
 */
function withoutCredentials(text: string): string {
  return text
    .replace(/(?<=\w:\/\/)([^/\s:@"]*:(?:(?!:\/\/)[^\s"])*|[^/\s]*)@((?:(?!:\/\/)[^\s"])*)/g, (_, user: string, rest: string) => {
      if (/[?#]/.test(user)) return "…";
      return user.includes("/") ? `…@${rest}` : rest;
    })
    .replace(/(\w:\/\/(?:(?!:\/\/)[^\s?#"'])*)[?#][^\s"']*/g, "$1");
}

/** Replaces every run of 24 characters or more that `sent` also holds; linear in `sent`, which may be megabytes. */
function withoutEcho(text: string, sent: string): string {
  if (sent.length < echoChars || text.length < echoChars) return text;
  const places = new Map<string, number[]>();
  for (let at = 0; at + blockChars <= text.length; at += 1) {
    const block = text.slice(at, at + blockChars);
    const known = places.get(block);
    if (known === undefined) places.set(block, [at]);
    else known.push(at);
  }
  const echoed = new Uint8Array(text.length);
  let found = false;
  for (let block = 0; block + blockChars <= sent.length; block += blockChars) {
    for (const at of places.get(sent.slice(block, block + blockChars)) ?? []) {
      if (echoed[at] === 1) continue;
      let before = 0;
      while (at - before > 0 && block - before > 0 && text[at - before - 1] === sent[block - before - 1]) before += 1;
      let end = blockChars;
      while (at + end < text.length && block + end < sent.length && text[at + end] === sent[block + end]) end += 1;
      if (before + end < echoChars) continue;
      echoed.fill(1, at - before, at + end);
      found = true;
    }
  }
  return found ? blanked(text, echoed) : text;
}

function blanked(text: string, hidden: Uint8Array): string {
  let shown = "";
  for (let at = 0; at < text.length; at += 1) {
    if (hidden[at] === 0) shown += text[at];
    else if (at === 0 || hidden[at - 1] === 0) shown += "…";
  }
  return shown;
}

/** A stand-in for an error of somebody else's, fit to be a `cause`: its name, codes and quoted message, nothing it holds. */
export function quotedError(error: unknown, redact: Redact, depth = 0): Error {
  const source = error instanceof Error ? error : new Error(typeof error === "string" ? error : `not an error: ${typeof error}`);
  const cause = fieldOf(source, "cause");
  const inner = cause !== undefined && depth < 4 ? { cause: quotedError(cause, redact, depth + 1) } : undefined;
  const message = fieldOf(source, "message");
  const copy = new Error(redact(typeof message === "string" ? message : ""), inner);
  Object.defineProperty(copy, "name", { value: fieldOf(source, "name"), enumerable: false, configurable: true, writable: true });
  for (const field of ["code", "status", "type"] as const) {
    const value = fieldOf(source, field);
    if (typeof value === "number") Object.assign(copy, { [field]: value });
    else if (typeof value === "string") Object.assign(copy, { [field]: redact(value) });
  }
  return copy;
}
