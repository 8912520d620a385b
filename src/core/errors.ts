/**
 * The one error class. Told apart by `code`, recognised across copies of the package by a registered symbol.
 *
 * @module
 */

/** What broke, and so what may happen next: a bad part is set aside, an outage pauses, a bug stops. */
export type ErrorScope = "part" | "delivery" | "dependency" | "process";

/** What went wrong, as a word to branch on. */
export type ErrorCode =
  | "invalid_input"
  | "missing_config"
  | "unauthorized"
  | "not_found"
  | "conflict"
  | "too_large"
  | "refused"
  | "rate_limited"
  | "unavailable"
  | "timeout"
  | "bad_response"
  | "truncated"
  | "interrupted"
  | "circuit_open"
  | "closed"
  | "no_route"
  | "tool_failed";

/** What a code means unless the thrower says otherwise: how far the damage reaches, and whether trying again may help. */
const defaults: Readonly<Record<ErrorCode, readonly [scope: ErrorScope, retryable: boolean]>> = {
  invalid_input: ["part", false],
  too_large: ["part", false],
  refused: ["part", false],
  no_route: ["part", false],
  tool_failed: ["part", false],
  not_found: ["delivery", false],
  conflict: ["delivery", false],
  interrupted: ["delivery", false],
  truncated: ["delivery", true],
  bad_response: ["delivery", true],
  timeout: ["delivery", true],
  unauthorized: ["dependency", false],
  rate_limited: ["dependency", true],
  unavailable: ["dependency", true],
  circuit_open: ["dependency", true],
  missing_config: ["process", false],
  closed: ["process", false],
};

/** Every code there is. */
export const errorCodes: readonly ErrorCode[] = Object.keys(defaults) as ErrorCode[];

/** Which clock ran out. */
export type TimeoutPhase = "connect" | "firstPart" | "idle" | "progress" | "total";

/** What a cut stream had delivered. */
export interface Delivered {
  /** How many content parts were handed on. */
  readonly parts: number;
  /** The text of them, main stream only. */
  readonly text: string;
  /** What the service had counted so far. */
  readonly usage?: unknown;
}

/** Everything an error may carry besides code and message. */
export interface ErrorDetails {
  readonly cause?: unknown;
  readonly scope?: ErrorScope;
  readonly retryable?: boolean;
  /** Milliseconds the service asked to wait. */
  readonly retryAfterMs?: number;
  /** HTTP status, where there was one. */
  readonly status?: number;
  /** Name of the adapter. */
  readonly service?: string;
  readonly phase?: TimeoutPhase;
  /** Calls really made. */
  readonly attempts?: number;
  readonly partial?: Delivered;
  /** Errors of cleaning up, which never replace the first. */
  readonly suppressed?: readonly unknown[];
}

const brand = Symbol.for("millrace.error");

/**
 * An error of millrace: says who, what and what was received. An abort is not one; it rejects with `signal.reason`.
 *
 * @example
 * try {
 *   await run(rateLimit(pipe(), { requests: 1, perMs: 60_000 }), "hello").text();
 * } catch (error) {
 *   if (isMillraceError(error, "rate_limited")) console.log("again in", error.retryAfterMs);
 *   else throw error;
 * }
 */
export class MillraceError extends Error {
  readonly code: ErrorCode;
  readonly scope: ErrorScope;
  readonly retryable: boolean;
  declare readonly retryAfterMs?: number;
  declare readonly status?: number;
  declare readonly service?: string;
  declare readonly phase?: TimeoutPhase;
  declare readonly attempts?: number;
  /** What had been delivered before the cut. Not enumerable: logs should not hold answers. */
  declare readonly partial?: Delivered;
  declare readonly suppressed?: readonly unknown[];

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.scope = details.scope ?? defaults[code][0];
    this.retryable = details.retryable ?? defaults[code][1];
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
    if (details.status !== undefined) this.status = details.status;
    if (details.service !== undefined) this.service = details.service;
    if (details.phase !== undefined) this.phase = details.phase;
    if (details.attempts !== undefined) this.attempts = details.attempts;
    if (details.partial !== undefined) hide(this, "partial", details.partial);
    if (details.suppressed !== undefined) hide(this, "suppressed", details.suppressed);
    hide(this, brand, true);
  }
}

hide(MillraceError.prototype, "name", "MillraceError");

function hide(target: object, key: PropertyKey, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: false, configurable: true, writable: true });
}

/** Is it an error of millrace (of this or another copy), and if a code is given, of that code? */
export function isMillraceError(error: unknown, code?: ErrorCode): error is MillraceError {
  if (typeof error !== "object" || error === null || !(brand in error)) return false;
  return code === undefined || ("code" in error && error.code === code);
}

/** Most characters of something received that a message may quote. */
const maxQuotedChars = 500;

/**
 * Says what was received, for a message: type and the first 500 characters at most.
 *
 * Never called with a credential; strings that came from a service go through the adapter's redaction first.
 */
export function received(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "undefined";
  if (typeof value === "string") return cut(JSON.stringify(value));
  if (typeof value === "function") return `function ${value.name || "without a name"}`;
  if (typeof value === "symbol") return value.toString();
  if (typeof value !== "object") return `${typeof value} ${String(value)}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  const keys = Object.keys(value);
  const name = Object.getPrototypeOf(value)?.constructor?.name;
  const what = typeof name === "string" && name !== "Object" ? `a ${name}` : "an object";
  return cut(keys.length > 0 ? `${what} with ${keys.slice(0, 8).join(", ")}` : `${what} without fields`);
}

function cut(text: string): string {
  return text.length > maxQuotedChars ? `${text.slice(0, maxQuotedChars)}…` : text;
}

/** `invalid_input` for an option that is out of range, in one form everywhere. */
export function invalidOption(who: string, option: string, expected: string, value: unknown): MillraceError {
  return new MillraceError("invalid_input", `${who}: ${option} must be ${expected}, got ${received(value)}`);
}

/** Refuses anything but a whole number in the range, when the stage is built. */
export function wholeNumber(who: string, option: string, value: unknown, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw invalidOption(who, option, `a whole number ${range}`, value);
}

/** Refuses anything but functions, by their place. */
export function requireProcessors(who: string, processors: readonly unknown[]): void {
  for (const [index, processor] of processors.entries()) {
    if (typeof processor !== "function") throw invalidOption(who, `argument ${index + 1}`, "a processor", processor);
  }
}
