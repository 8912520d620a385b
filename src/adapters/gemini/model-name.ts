/**
 * The name of a model, which becomes part of an address.
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";

/** Refuses what would lead somewhere else: the client refuses some of it too, but only when it is asked. */
export function checkModel(who: string, model: unknown): void {
  if (typeof model !== "string" || !/^[\w./@:-]+$/.test(model) || model.includes("..")) throw invalidOption(who, "model", "a name that fits an address", model);
}
