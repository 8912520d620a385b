/**
 * What the error tables of services give, and what they have in common.
 *
 * @module
 */
import type { ErrorCode, ErrorScope } from "../core/errors.ts";
import { fieldOf } from "./error-fields.ts";
import { networkFault } from "./network-errors.ts";
import type { HeaderSource } from "./retry-hint.ts";

/** An error of a service in our terms: the code, and what differs from its defaults. */
export interface ServiceFault {
  readonly code: ErrorCode;
  readonly retryable?: boolean;
  readonly scope?: ErrorScope;
  /** Milliseconds the service asked to wait. */
  readonly retryAfterMs?: number;
  /** The credential is out of date: a fresh one may be taken, once. */
  readonly refreshable?: true;
  /** The service's clock less ours, in milliseconds, where it refused a request for its time and told its own. */
  readonly skewMs?: number;
  /** What was delivered now belongs to another consumer and must not be acknowledged. */
  readonly leaseLost?: true;
}

/** Rows of a table that mean the code and nothing besides. */
export function rows(code: ErrorCode, ...names: readonly string[]): (readonly [string, ServiceFault])[] {
  return names.map((name) => [name, { code }] as const);
}

/** The fault of a connection that failed below the service's client. */
export function connectionFault(error: unknown): ServiceFault | undefined {
  const fault = networkFault(error);
  return fault === undefined ? undefined : { code: fault.code, retryable: fault.retryable };
}

/** Headers or metadata as a client keeps them: with a `get` that gives a value or a list, or as an object with names in lower case. */
export function headersIn(kept: unknown): HeaderSource | undefined {
  if (typeof kept !== "object" || kept === null) return undefined;
  const get = fieldOf(kept, "get");
  return {
    get(name) {
      const value = typeof get === "function" ? called(get, kept, name) : Object.hasOwn(kept, name) ? fieldOf(kept, name) : undefined;
      const first: unknown = Array.isArray(value) ? value[0] : value;
      return typeof first === "string" ? first : null;
    },
  };
}

function called(get: Parameters<typeof Reflect.apply>[0], kept: object, name: string): unknown {
  try {
    return Reflect.apply(get, kept, [name]);
  } catch {
    return undefined; // metadata of gRPC refuses some names
  }
}

/** How far the service's clock is ahead, by what it says of the time. */
export function skewBy(serverTime: string | undefined, nowMs: number): Pick<ServiceFault, "skewMs"> {
  const atMs = serverTime === undefined || serverTime.length > 40 ? Number.NaN : Date.parse(serverTime);
  return Number.isNaN(atMs) ? {} : { skewMs: atMs - nowMs };
}
