/**
 * What Ollama reports, in our codes.
 *
 * Errors are `{ "error": "…" }`, with a status before the first line and within the stream afterwards: then words are all there is.
 * Source: github.com/ollama/ollama, server/routes.go (`handleScheduleError`, `streamResponse`).
 *
 * @module
 */
import { type ErrorCode, type ErrorDetails, MillraceError } from "../../core/errors.ts";
import type { Answer } from "../exchange.ts";
import { codeOfStatus } from "../http-status.ts";
import { shapeOf, wordsOf } from "../json-shape.ts";
import { networkError, networkFault } from "../network-errors.ts";
import type { Redact } from "../redact.ts";
import { retryHint } from "../retry-hint.ts";

type Meaning = readonly [code: ErrorCode, details?: Pick<ErrorDetails, "retryable" | "scope">];

const unknownModel: Meaning = ["not_found", { scope: "dependency" }]; // the name came from configuration
const outOfQuota: Meaning = ["rate_limited", { retryable: false }]; // of the hosted service: for hours or days

/** What a message means where no status says it, or the status says too little. The first that fits. */
const meanings: readonly (readonly [RegExp, Meaning])[] = [
  [/\bmodel\b.*\bnot found\b|try pulling it/i, unknownModel],
  [/usage limit|\bquota\b|upgrade for/i, outOfQuota],
  [/rate limit|too many requests/i, ["rate_limited"]],
  [/\bunauthorized\b|not signed in/i, ["unauthorized"]],
  [/context (?:length|size|window)/i, ["invalid_input"]],
  [/does not support|invalid (?:tool|image|format|input|message)/i, ["invalid_input"]],
];

/** Who speaks of an error. */
export interface Reporting {
  readonly service: string;
  readonly model: string;
  readonly redact: Redact;
}

/** The error of a line, or of the JSON body of a 200. */
export function reportedError(reported: unknown, { service, model, redact }: Reporting): MillraceError {
  const said = wordsOf(reported) ?? wordsOf(shapeOf(reported)?.message) ?? JSON.stringify(reported ?? null);
  const [code, details] = meaningOf(said) ?? ["unavailable"];
  return new MillraceError(code, `${service}: ${model} reported: ${redact(said)}${hintOf(code, model)}`, { service, ...details });
}

/** The error that a JSON body speaks of; undefined where it speaks of none. */
export function bodyError(body: unknown, reporting: Reporting): MillraceError | undefined {
  const error = shapeOf(body)?.error;
  return error === undefined || error === null ? undefined : reportedError(error, reporting);
}

/** The error of a status that is no success. */
export function statusError({ status, headers }: Answer, text: string, { service, model, redact }: Reporting): MillraceError {
  const body = jsonOf(text);
  const error = shapeOf(body)?.error;
  const said = wordsOf(error) ?? wordsOf(shapeOf(error)?.message) ?? text.trim();
  const meaning = meaningOf(said);
  // The status decides; a 404 without the model's name in it is of a wrong address, and a spent quota is a 429 that stays.
  const telling = meaning === outOfQuota || (status === 404 && meaning === unknownModel) ? meaning : undefined;
  const [code, details] = telling ?? [codeOfStatus(status)];
  const words = said === "" ? "nothing" : redact(said);
  return new MillraceError(code, `${service}: ${model} answered ${status}: ${words}${telling === unknownModel ? hintOf(code, model) : ""}`, {
    service,
    status,
    ...retryHint({ headers, body }),
    ...details,
  });
}

/** An error that the connection threw; undefined for what is none of its. */
export function thrownError(error: unknown, { service, redact }: Reporting): MillraceError | undefined {
  return networkFault(error) === undefined ? undefined : networkError(service, "the connection failed", error, redact);
}

function meaningOf(said: string): Meaning | undefined {
  return meanings.find(([pattern]) => pattern.test(said))?.[1];
}

function hintOf(code: ErrorCode, model: string): string {
  return code === "not_found" ? `; to get it: ollama pull ${model}` : "";
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
