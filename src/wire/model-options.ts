/**
 * Options that adapters of models have in common, checked when an adapter is built.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../core/errors.ts";
import type { SystemParts } from "./turn-input.ts";

/** Refuses options that are no object, and what cannot be said to a model as its system. */
export function checkSystemOptions(who: string, options: { readonly system?: string; readonly systemParts?: SystemParts }): void {
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { system, systemParts = "refuse" } = options;
  if (system !== undefined && typeof system !== "string") throw invalidOption(who, "system", "text", system);
  if (systemParts !== "refuse" && systemParts !== "demote") throw invalidOption(who, "systemParts", "refuse or demote", systemParts);
}

/** Refuses spans of time that no clock can keep; those that are not given have defaults. */
export function checkMilliseconds(who: string, spans: Readonly<Record<string, number | undefined>>): void {
  for (const [name, ms] of Object.entries(spans)) {
    if (ms !== undefined && !(Number.isFinite(ms) && ms > 0)) {
      throw new MillraceError("missing_config", `${who}: ${name} must be a number of milliseconds above 0, got ${String(ms)}`);
    }
  }
}
