/**
 * When a service says to come again: the one place that reads such hints.
 *
 * Source: RFC 9110 §10.2.3 (Retry-After) and §5.6.7 (dates), google.rpc.RetryInfo, the rate limit headers of OpenAI and Anthropic.
 *
 * @module
 */

/** Headers by name, however they are kept. */
export interface HeaderSource {
  get(name: string): string | null;
}

/** What was answered. */
export interface Answered {
  readonly headers?: HeaderSource;
  /** The parsed JSON body; `google.rpc.RetryInfo` is in there. */
  readonly body?: unknown;
  /** Wall clock in ms since 1970, for dates when the answer has no `Date`. @default the machine's */
  readonly nowMs?: number;
}

/** What the service said. */
export interface RetryHint {
  /** From 0; above any timer's range for a hostile number, so do not sleep it unchecked. */
  readonly retryAfterMs?: number;
  /** The service's own word on whether to try again. */
  readonly retryable?: boolean;
}

/** Headers in milliseconds. */
const msHeaders = ["retry-after-ms", "x-ms-retry-after-ms"];

/** Dimensions of rate limits: `remaining` at 0 makes `reset` count. The first group resets after a span, the second at a time. */
const spans = ["requests", "tokens"].map((of) => [`x-ratelimit-remaining-${of}`, `x-ratelimit-reset-${of}`] as const);
const times = ["requests", "tokens", "input-tokens", "output-tokens"].map(
  (of) => [`anthropic-ratelimit-${of}-remaining`, `anthropic-ratelimit-${of}-reset`] as const,
);

/** Reads every hint there is; of several valid ones the largest counts. Garbage and negative numbers are no hint. */
export function retryHint({ headers, body, nowMs }: Answered): RetryHint {
  const header = (name: string): string | undefined => headers?.get(name)?.trim() || undefined;
  const date = header("date");
  const now = (date === undefined ? undefined : dateMs(date)) ?? nowMs ?? Date.now();
  const pushback = header("grpc-retry-pushback-ms");
  const hints: (number | undefined)[] = [
    ...msHeaders.map((name) => plainNumber(header(name))),
    afterMs(header("retry-after"), now),
    plainNumber(pushback),
    retryInfoMs(body),
  ];
  if (!hints.some((hint) => hint !== undefined)) {
    for (const [remaining, reset] of spans) if (header(remaining) === "0") hints.push(spanMs(header(reset)));
    for (const [remaining, reset] of times) if (header(remaining) === "0") hints.push(untilMs(header(reset), now));
  }
  const valid = hints.filter((hint) => hint !== undefined);
  const should = header("x-should-retry")?.toLowerCase();
  const never = should === "false" || (pushback !== undefined && /^-\d/.test(pushback));
  return {
    ...(valid.length === 0 ? {} : { retryAfterMs: Math.max(...valid) }),
    ...(never ? { retryable: false } : should === "true" ? { retryable: true } : {}),
  };
}

function plainNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}(?:\.\d{1,9})?$/.test(text) ? Number(text) : undefined;
}

function afterMs(text: string | undefined, now: number): number | undefined {
  const seconds = plainNumber(text);
  return seconds === undefined ? untilMs(text, now) : Math.round(seconds * 1000);
}

/** A date that has passed means now. */
function untilMs(text: string | undefined, now: number): number | undefined {
  const at = text === undefined ? undefined : dateMs(text);
  return at === undefined ? undefined : Math.max(0, at - now);
}

/** The three forms of HTTP, and ISO 8601: everything else that `Date.parse` would guess at is refused. */
const dateForms =
  /^(?:[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT|[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2}))$/;

function dateMs(text: string): number | undefined {
  if (text.length > 40 || !dateForms.test(text)) return undefined;
  const asctime = /\d{4}$/.test(text) && !text.includes(","); // has no zone and means GMT
  const parsed = Date.parse(asctime ? `${text} GMT` : text);
  return Number.isNaN(parsed) ? undefined : parsed;
}

const unitsMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** `6m0s`, `88ms`, `1h2m3.5s`; a bare number is seconds. */
function spanMs(text: string | undefined): number | undefined {
  if (text === undefined || text.length > 40) return undefined;
  if (/^\d{1,9}(?:\.\d{1,9})?$/.test(text)) return Math.round(Number(text) * 1000);
  if (!/^(?:\d{1,9}(?:\.\d{1,9})?(?:h|ms|m|s))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) total += Number(amount) * (unitsMs[unit ?? ""] ?? 0);
  return Math.round(total);
}

/** `{ error: { details: [{ "@type": "…RetryInfo", retryDelay: "34.4s" }] } }`, the error itself or an array around it. */
function retryInfoMs(body: unknown): number | undefined {
  const outer: unknown = Array.isArray(body) ? body[0] : body;
  const error: unknown = field(outer, "error") ?? outer;
  const details: unknown = field(error, "details");
  if (!Array.isArray(details)) return undefined;
  for (const detail of details.slice(0, 32) as readonly unknown[]) {
    const type = field(detail, "@type");
    const delay = field(detail, "retryDelay");
    if (typeof type === "string" && type.endsWith("RetryInfo") && typeof delay === "string") return /^\d+(?:\.\d+)?s$/.test(delay) ? spanMs(delay) : undefined;
  }
  return undefined;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}
