/**
 * What a durable pipeline is told, checked when it is built.
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import type { Fetch } from "../../wire/answer.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders } from "../../wire/endpoint.ts";
import type { PipelineSettings } from "./handlers.ts";
import type { Address } from "./ingress.ts";
import { type DurableStage, namedStages } from "./stages.ts";

/** Options of `restate`. The same in every process: drivers and workers. */
export interface RestateOptions {
  /** Of the pipeline in the engine: a letter, then up to 63 letters, digits, `_` and `-`. */
  readonly name: string;
  /** Each is a step that is recorded: part functions, or processors that `perBatch` or `keyed` speaks for. */
  readonly stages: readonly (Processor | DurableStage)[];
  /** Parts of one key pass every stage in their order, and `keyed` stages keep a value for it. @default none: batches are independent */
  readonly key?: (part: Part) => string;
  /** Parts in a batch at most; `1` for parts that come slowly, as a batch waits until it is full. @default 50 */
  readonly batch?: number;
  /** Bytes of JSON, in which contents are base64, of a batch and of what a stage makes of it, up to 24 MiB. @default 8 MiB */
  readonly maxBytes?: number;
  /** Batches that are out at a time. @default 16 */
  readonly ahead?: number;
  /** Times that a step is tried when its error is `retryable`; other errors end the run at once. @default 5 */
  readonly attempts?: number;
  /** Milliseconds for one try of a step; what takes longer is cut off some seconds later and tried again. @default 600,000 */
  readonly stepMs?: number;
  /** Milliseconds for which a run can be taken up again: results and values of keys are kept so long. @default 86,400,000, a day */
  readonly retentionMs?: number;
  /** The engine's ingress: where runs are sent. @default "http://localhost:8080" */
  readonly baseUrl?: string;
  /** The engine's admin API, for `deploy`. @default "http://localhost:9070" */
  readonly adminUrl?: string;
  /** Plain http also to other hosts than this one: for a network of one's own. @default false */
  readonly allowHttp?: boolean;
  /** Sent as a bearer token. @default none is sent */
  readonly apiKey?: ApiKey;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds for a request that needs no worker. @default 10,000 */
  readonly timeoutMs?: number;
  /** Milliseconds that the engine may be out of reach before a run, or `deploy`, fails with `unavailable`. @default 60,000 */
  readonly awayMs?: number;
  /** In a worker: hears of every failed try of a step, with the error itself. */
  readonly onFailure?: PipelineSettings["onFailure"];
  readonly fetch?: Fetch;
  readonly clock?: Clock;
}

/** The checked options, by who needs them. */
export interface RestateSettings {
  readonly pipeline: PipelineSettings;
  readonly address: Address;
  readonly adminUrl: string;
  readonly cut: { readonly who: string; readonly count: number; readonly maxBytes: number; readonly key: ((part: Part) => string) | undefined };
  readonly ahead: number;
}

/** The engine takes messages of 32 MiB; what a stage keeps for a key goes with its parts. */
const mostBytes = 24 * 1024 * 1024;

/** Checks all of them. */
export function checkedOptions(who: string, options: RestateOptions): RestateSettings {
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { name, key, onFailure, allowHttp = false, apiKey, fetch, clock = systemClock } = options;
  // the engine keeps names that begin like its own for itself
  if (typeof name !== "string" || !/^[A-Za-z][\w-]{0,63}$/.test(name) || /^(?:restate|openapi)/i.test(name)) {
    throw invalidOption(who, "name", "a letter, then up to 63 letters, digits, _ and -, and not begin with restate or openapi", name);
  }
  for (const [option, value] of Object.entries({ key, onFailure })) {
    if (value !== undefined && typeof value !== "function") throw invalidOption(who, option, "a function", value);
  }
  if (typeof allowHttp !== "boolean") throw invalidOption(who, "allowHttp", "true or false", allowHttp);
  const maxBytes = wholeNumber(who, "maxBytes", options.maxBytes ?? 8 * 1024 * 1024, 1_024, mostBytes);
  return {
    pipeline: {
      who,
      name,
      stages: namedStages(who, options.stages, key !== undefined),
      maxBytes,
      attempts: wholeNumber(who, "attempts", options.attempts ?? 5, 1, 1_000),
      stepMs: wholeNumber(who, "stepMs", options.stepMs ?? 600_000, 1_000),
      retentionMs: wholeNumber(who, "retentionMs", options.retentionMs ?? 86_400_000, 1_000),
      onFailure,
    },
    address: {
      who,
      url: checkedUrl(who, "baseUrl", options.baseUrl ?? "http://localhost:8080", allowHttp),
      apiKey,
      headers: checkedHeaders(who, options.headers),
      timeoutMs: wholeNumber(who, "timeoutMs", options.timeoutMs ?? 10_000, 1),
      awayMs: wholeNumber(who, "awayMs", options.awayMs ?? 60_000, 0),
      clock,
      fetch,
    },
    adminUrl: checkedUrl(who, "adminUrl", options.adminUrl ?? "http://localhost:9070", allowHttp),
    cut: { who, count: wholeNumber(who, "batch", options.batch ?? 50, 1, 10_000), maxBytes, key },
    ahead: wholeNumber(who, "ahead", options.ahead ?? 16, 1, 1_000),
  };
}

/** An address without a user; messages show no more of it than the host. */
export function checkedUrl(who: string, option: string, value: unknown, allowHttp: boolean): string {
  if (typeof value !== "string") throw invalidOption(who, option, "an absolute URL", value);
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.search || url?.hash) throw new MillraceError("invalid_input", `${who}: ${option} must have no query and no fragment`);
  if (!allowHttp || url?.protocol !== "http:") return checkedBaseUrl(who, value, option);
  checkedBaseUrl(who, value.replace(/^http:/i, "https:"), option); // all but the scheme
  return value.replace(/\/+$/, "");
}

/** The id of a run, which stands in addresses and in the engine's tables. */
export function checkedRunId(who: string, id: unknown): string {
  if (typeof id === "string" && /^[\w.-]{1,128}$/.test(id)) return id;
  throw invalidOption(who, "id", "1 to 128 letters, digits, '_', '.' and '-'", id);
}
