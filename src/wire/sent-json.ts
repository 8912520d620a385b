/**
 * JSON that a model sent.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";

/** The value. Throws `bad_response`; what failed stays out of the error, also as its cause: it quotes what the model said. */
export function sentJson(text: string, { service, model }: { readonly service: string; readonly model: string }): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new MillraceError("bad_response", `${service}: ${model} sent JSON that does not parse`, { service });
  }
}
