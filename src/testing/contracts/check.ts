/**
 * The few checks that contracts make, so that they depend on no runner.
 *
 * @module
 */
import { isMillraceError, received } from "../../core/errors.ts";
import type { ErrorCode } from "../../core/errors.ts";

/** Fails unless it holds. */
export function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`contract: ${what}`);
}

/** Fails unless both are the same JSON; bytes and dates are no JSON, compare them as text. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  const [met, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(met === wanted, `${what}: expected ${cut(wanted)}, got ${cut(met)}`);
}

/** Fails unless the call rejects with an error of millrace of this code (of these codes). */
export async function failsWith(codes: ErrorCode | readonly ErrorCode[], call: () => unknown, what: string): Promise<void> {
  const error = await rejection(call, what);
  const wanted: readonly ErrorCode[] = typeof codes === "string" ? [codes] : codes;
  const met = isMillraceError(error) ? error.code : String(error);
  check(isMillraceError(error) && wanted.includes(error.code), `${what}: expected ${wanted.join(" or ")}, got ${met}`);
}

/** Fails unless the call rejects with this very object. */
export async function failsAs(reason: unknown, call: () => unknown, what: string): Promise<void> {
  const error = await rejection(call, what);
  check(error === reason, `${what}: expected the very reason, got ${error instanceof Error ? error.message : received(error)}`);
}

async function rejection(call: () => unknown, what: string): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error(`contract: ${what}: expected a rejection, but it went well`);
}

function cut(json: string | undefined): string {
  return json === undefined ? "undefined" : json.length > 300 ? `${json.slice(0, 300)}…` : json;
}
