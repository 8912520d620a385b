/**
 * Wrappers that are handed something shared: its options are said where it is made, and nowhere else.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";

/** Refuses options beside the shared thing, which would change nothing. */
export function refuseBeside(who: string, shared: string, options: object): void {
  const others = Object.keys(options).filter((name) => name !== shared);
  if (others.length > 0) throw new MillraceError("invalid_input", `${who}: ${others.join(", ")} beside ${shared}; say them where the ${shared} is made`);
}
