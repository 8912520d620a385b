/**
 * What an error means for the delivery that it befell.
 *
 * @module
 */
import { isMillraceError } from "../core/errors.ts";

/**
 * `dead-letter`: the message is at fault, and trying again will not help. `redeliver`: it may help. `pause`: what all messages need is
 * out of order, so no message is to blame. `stop`: the program is at fault.
 */
export type Verdict = "dead-letter" | "redeliver" | "pause" | "stop";

/** By the scope of the error. One that nobody has classified is a bug, which may lie in the message or not: it is tried again. */
export function verdictOn(error: unknown): Verdict {
  if (!isMillraceError(error)) return "redeliver";
  switch (error.scope) {
    case "part":
      return "dead-letter";
    case "dependency":
      return "pause";
    case "process":
      return "stop";
    default:
      return (error.code === "not_found" || error.code === "conflict") && !error.retryable ? "dead-letter" : "redeliver";
  }
}

/** No service keeps a message, or all of them, longer: what it says may be a mistake. */
const maxAskedMs = 3_600_000;

/** For how long the service behind an error asks to be left alone, if it does: milliseconds. */
export function askedMs(error: unknown): number | undefined {
  const ms = isMillraceError(error) ? error.retryAfterMs : undefined;
  return ms !== undefined && ms >= 0 ? Math.min(ms, maxAskedMs) : undefined;
}
