/**
 * Errors in a recording: what they say, not what they hold.
 *
 * @module
 */
import { type ErrorCode, errorCodes, type ErrorScope, isMillraceError, MillraceError, type TimeoutPhase } from "../core/errors.ts";
import type { JsonValue } from "../core/part.ts";
import type { Redact } from "../wire/redact.ts";

const scopes: readonly ErrorScope[] = ["part", "delivery", "dependency", "process"];
const phases: readonly TimeoutPhase[] = ["connect", "firstPart", "idle", "progress", "total"];

/** An error as JSON, its message and those of its causes without what looks like a key. */
export function errorToJson(error: unknown, redact: Redact, depth = 0): JsonValue {
  const fields: Record<string, JsonValue> = {};
  const copy = (from: object, names: readonly string[]): void => {
    for (const name of names) {
      const value: unknown = Reflect.get(from, name);
      if (typeof value === "string") fields[name] = redact(value);
      else if (typeof value === "number" || typeof value === "boolean") fields[name] = value;
    }
  };
  if (!(error instanceof Error)) return { message: redact(String(error)) };
  fields.name = error.name;
  fields.message = redact(error.message);
  copy(error, ["code"]);
  if (isMillraceError(error)) {
    copy(error, ["scope", "retryable", "retryAfterMs", "status", "service", "phase", "attempts"]);
    if (error.partial !== undefined) fields.partial = { parts: error.partial.parts, text: error.partial.text };
  }
  if (error.cause !== undefined && depth < 4) fields.cause = errorToJson(error.cause, redact, depth + 1);
  return fields;
}

/** The error of such a value: one of ours where it was, else an `Error` of the same name, message and code. */
export function errorFromJson(value: JsonValue | undefined): Error {
  const fields = asObject(value);
  const message = typeof fields.message === "string" ? fields.message : "an error that was not recorded";
  const cause = fields.cause === undefined ? {} : { cause: errorFromJson(fields.cause) };
  if (fields.name === "MillraceError" && isCode(fields.code)) {
    const { retryable, retryAfterMs, status, service, attempts } = fields;
    const scope = scopes.find((known) => known === fields.scope);
    const phase = phases.find((known) => known === fields.phase);
    const partial = asObject(fields.partial);
    return new MillraceError(fields.code, message, {
      ...cause,
      ...(scope === undefined ? {} : { scope }),
      ...(phase === undefined ? {} : { phase }),
      ...(typeof retryable === "boolean" ? { retryable } : {}),
      ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
      ...(typeof status === "number" ? { status } : {}),
      ...(typeof attempts === "number" ? { attempts } : {}),
      ...(typeof service === "string" ? { service } : {}),
      ...(typeof partial.parts === "number" && typeof partial.text === "string" ? { partial: { parts: partial.parts, text: partial.text } } : {}),
    });
  }
  const error = new Error(message, cause);
  if (typeof fields.name === "string") Object.defineProperty(error, "name", { value: fields.name, configurable: true, writable: true });
  return fields.code === undefined ? error : Object.assign(error, { code: fields.code });
}

function isCode(value: JsonValue | undefined): value is ErrorCode {
  return errorCodes.some((code) => code === value);
}

/** The fields of a JSON object; none of anything else. */
export function asObject(value: JsonValue | undefined): Readonly<Record<string, JsonValue>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, JsonValue>>) : {}; // no list
}
