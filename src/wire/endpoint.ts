/**
 * Where requests go and what they carry, checked when the adapter is built.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../core/errors.ts";
import { heard } from "./heard.ts";

/** A key, or a function that gives one for each request. */
export type ApiKey = string | (() => string | Promise<string>);

const loopback = /^(?:localhost|(?:[\w-]+\.)+localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i;

/** Refuses anything but https, loopback aside, and a user name in the URL; messages show no more than the host. */
export function checkedBaseUrl(who: string, baseUrl: string, option = "baseUrl"): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (url === undefined) throw new MillraceError("invalid_input", `${who}: ${option} must be an absolute URL`);
  if (url.username !== "" || url.password !== "") throw new MillraceError("invalid_input", `${who}: ${option} must hold no user name or password`);
  const local = url.protocol === "http:" && loopback.test(url.hostname);
  if (url.protocol !== "https:" && !local) {
    throw new MillraceError("invalid_input", `${who}: ${option} must be https, or http on loopback, got ${url.protocol}//${url.host}`);
  }
  return baseUrl.replace(/\/+$/, "");
}

/** Refuses names and values that would break out of their line; messages show no value. */
export function checkedHeaders(who: string, headers: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) throw invalidOption(who, "headers", "names of headers", name);
    if (typeof value !== "string" || !isHeaderValue(value)) {
      throw new MillraceError("invalid_input", `${who}: the value of header ${name} must be text on one line`);
    }
  }
  return { ...headers };
}

function isHeaderValue(value: string): boolean {
  // no CR, LF, NUL nor anything else that a header cannot carry
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

/** Gives the key for a request, from the option or, at first use, from the environment. */
export interface KeySource {
  get(signal?: AbortSignal): Promise<string>;
}

/** Where a key comes from. */
export interface KeyOptions {
  readonly who: string;
  readonly apiKey?: ApiKey | undefined;
  /** Variable of the environment that is read when there is no option. @default none is */
  readonly variable?: string;
  /** Used when there is none at all; without it, that is `missing_config`. */
  readonly otherwise?: string;
}

/** The key lives in this closure and in no property. */
export function keySource({ who, apiKey, variable, otherwise }: KeyOptions): KeySource {
  if (apiKey !== undefined && typeof apiKey !== "function" && (typeof apiKey !== "string" || apiKey === "" || !isHeaderValue(apiKey))) {
    throw new MillraceError("invalid_input", `${who}: apiKey must be text on one line, or a function that gives it`);
  }
  return {
    async get(signal) {
      signal?.throwIfAborted();
      const key = typeof apiKey === "function" ? await heard(Promise.resolve().then(apiKey), signal) : (apiKey ?? environment(variable) ?? otherwise);
      if (key === undefined) throw new MillraceError("missing_config", `${who}: needs an apiKey${variable === undefined ? "" : `, as option or in ${variable}`}`);
      if (typeof key !== "string" || key === "" || !isHeaderValue(key)) {
        throw new MillraceError("missing_config", `${who}: the apiKey must be text on one line`);
      }
      return key;
    },
  };
}

/** Variables of the environment, where the runtime has any. */
interface ProcessLike {
  readonly env?: Readonly<Record<string, string | undefined>>;
}

function environment(variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const { process } = globalThis as { readonly process?: ProcessLike };
  return process?.env?.[variable] || undefined;
}
