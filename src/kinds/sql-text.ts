/**
 * What goes into statements and cannot be a parameter, and what no parameter of Postgres may hold.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../core/errors.ts";

/** A name, quoted. Only letters, digits and `_` are names at all, so no quote, dot or space can be smuggled in. */
export function quotedName(who: string, option: string, name: unknown): string {
  if (typeof name === "string" && /^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(name)) return `"${name}"`;
  throw invalidOption(who, option, "a name of letters, digits and _ of at most 63 characters", name);
}

/**
 * Refuses text that Postgres cannot store, wherever it stands in the value: NUL, and surrogates without their other half.
 *
 * Throws `invalid_input` before anything is sent, where the server would fail the whole statement.
 */
export function refuseUnstorable(who: string, value: unknown): void {
  if (typeof value === "string") {
    if (value.includes("\0")) throw new MillraceError("invalid_input", `${who}: text holds a NUL character, which Postgres cannot store`);
    if (!value.isWellFormed()) throw new MillraceError("invalid_input", `${who}: text holds half of a surrogate pair, which is no UTF-8`);
  } else if (Array.isArray(value)) {
    for (const item of value) refuseUnstorable(who, item);
  } else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    for (const [key, item] of Object.entries(value)) {
      refuseUnstorable(who, key);
      refuseUnstorable(who, item);
    }
  }
}
