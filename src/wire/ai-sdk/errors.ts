/**
 * Errors of the AI SDK and its providers in our codes, and ours in its form.
 *
 * Told by name and fields: classes differ between versions of the package.
 * Source: `@ai-sdk/provider` 4, src/errors; what providers put into `error` parts is the error of their service as it came.
 *
 * @module
 */
import { type ErrorCode, type ErrorDetails, isMillraceError, MillraceError } from "../../core/errors.ts";
import { fieldOf, numberOf, textOf } from "../error-fields.ts";
import { codeOfStatus } from "../http-status.ts";
import { shapeOf, wordsOf } from "../json-shape.ts";
import { networkError, networkFault } from "../network-errors.ts";
import { quotedError, type Redact } from "../redact.ts";
import { retryHint } from "../retry-hint.ts";
import { headersIn } from "../service-fault.ts";

type Meaning = readonly [code: ErrorCode, details?: Pick<ErrorDetails, "retryable" | "scope">];

/** Errors of the SDK itself. */
const names: Readonly<Record<string, Meaning>> = {
  AI_APICallError: ["unavailable"], // without a status: it was not reached
  AI_DownloadError: ["unavailable"],
  AI_EmptyResponseBodyError: ["bad_response"],
  AI_InvalidArgumentError: ["invalid_input"],
  AI_InvalidPromptError: ["invalid_input"],
  AI_InvalidResponseDataError: ["bad_response"],
  AI_JSONParseError: ["bad_response"],
  AI_LoadAPIKeyError: ["missing_config"],
  AI_LoadSettingError: ["missing_config"],
  AI_NoContentGeneratedError: ["bad_response"],
  AI_NoSuchModelError: ["not_found", { scope: "dependency" }],
  AI_NoSuchProviderReferenceError: ["invalid_input"],
  AI_TooManyEmbeddingValuesForCallError: ["invalid_input"],
  AI_TypeValidationError: ["bad_response"],
  AI_UnsupportedFunctionalityError: ["invalid_input"],
};

/** What services call their errors within a stream. The first that fits. */
const words: readonly (readonly [RegExp, Meaning])[] = [
  [/insufficient_quota|billing|spend_limit/, ["rate_limited", { retryable: false }]],
  [/rate_?limit|resource_exhausted/i, ["rate_limited"]],
  [/authentication|permission|unauthorized|invalid_api_key/i, ["unauthorized"]],
  [/not_found/i, ["not_found", { scope: "dependency" }]],
  [/too_large/i, ["too_large"]],
  [/invalid|unsupported|context_length/i, ["invalid_input"]],
  [/timeout|deadline/i, ["timeout"]],
];

/** Who speaks of an error. */
export interface Reporting {
  readonly service: string;
  readonly model: string;
  readonly redact: Redact;
}

/** What an `error` part holds. */
export function reportedError(reported: unknown, reporting: Reporting): unknown {
  if (isMillraceError(reported)) return reported;
  if (reported instanceof Error) return thrownError(reported, reporting) ?? reported;
  const { service, model, redact } = reporting;
  const error = shapeOf(shapeOf(reported)?.error) ?? shapeOf(reported);
  const kind = [error?.code, error?.type, error?.status].filter((word) => typeof word === "string").join(" ");
  const [code, details] = words.find(([pattern]) => pattern.test(kind))?.[1] ?? ["unavailable"];
  const said = wordsOf(error?.message) ?? wordsOf(reported) ?? JSON.stringify(reported ?? null);
  return new MillraceError(code, `${service}: ${model} reported: ${redact(said)}`, { service, ...details });
}

/** An error that a model threw; undefined for what is none of the SDK's or the connection's. */
export function thrownError(error: unknown, reporting: Reporting): MillraceError | undefined {
  const { service, model, redact } = reporting;
  const cause = fieldOf(error, "cause");
  if (isMillraceError(cause)) return cause; // a processor of ours behind the SDK
  const status = numberOf(error, "statusCode");
  const isAnswered = status !== undefined && status >= 200 && status <= 299; // a good answer, of which something else came to grief
  if (status !== undefined && !isAnswered) return statusError(error, status, reporting);
  if (networkFault(error) !== undefined) return networkError(service, `the connection to ${model} failed`, error, redact);
  const name = textOf(error, "name") ?? "";
  if (!name.startsWith("AI_")) return undefined;
  const message = textOf(error, "message") ?? "";
  const [code, details] = isAnswered ? badAnswer : meaningOf(name, message);
  return new MillraceError(code, `${service}: ${model} failed (${redact(name)}): ${redact(message)}`, { service, ...details, cause: quotedError(error, redact) });
}

const badAnswer: Meaning = ["bad_response"];
const cutAnswer: Meaning = ["truncated"];
/** Of versions that are yet to come. */
const unknownName: Meaning = ["bad_response", { retryable: false }];

function meaningOf(name: string, message: string): Meaning {
  // What providers that look for it say of a stream without an end.
  if (name === "AI_InvalidResponseDataError" && /ended without a finish reason/i.test(message)) return cutAnswer;
  return (Object.hasOwn(names, name) ? names[name] : undefined) ?? unknownName;
}

function statusError(error: unknown, status: number, { service, model, redact }: Reporting): MillraceError {
  const headers = headersIn(fieldOf(error, "responseHeaders"));
  const hint = retryHint({ ...(headers === undefined ? {} : { headers }), body: jsonOf(textOf(error, "responseBody")) });
  return new MillraceError(codeOfStatus(status), `${service}: ${model} answered ${status}: ${redact(textOf(error, "message") ?? "")}`, {
    service,
    status,
    ...(status === 404 ? { scope: "dependency" as const } : {}), // the name came from configuration
    ...hint,
    ...(fieldOf(error, "isRetryable") === false ? { retryable: false } : {}), // a spent quota is a 429 as well
    cause: quotedError(error, redact),
  });
}

/** Bodies are small JSON, pages, or nothing. */
function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the SDK knows an error of a call by, over all copies of its package. */
const marks = ["vercel.ai.error", "vercel.ai.error.AI_APICallError"];

/** An error as the SDK knows it: it asks again where `isRetryable` says that it helps, after what `retry-after-ms` says. */
export function callError(error: unknown): unknown {
  if (!isMillraceError(error)) return error;
  const { message, status, retryable, retryAfterMs } = error;
  const made = new Error(message, { cause: error });
  Object.defineProperty(made, "name", { value: "AI_APICallError", enumerable: false, configurable: true, writable: true });
  for (const mark of marks) Object.defineProperty(made, Symbol.for(mark), { value: true, enumerable: false });
  return Object.assign(made, {
    url: "",
    requestBodyValues: {},
    isRetryable: retryable,
    ...(status === undefined ? {} : { statusCode: status }),
    ...(retryAfterMs === undefined ? {} : { responseHeaders: { "retry-after-ms": String(retryAfterMs) } }),
  });
}
