/**
 * How many tokens a service says that parts take, as the input of one turn.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, MillraceError, received } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import type { Fetch } from "./answer.ts";
import { type JsonProtocol, jsonRequest } from "./json-request.ts";
import { countOf } from "./json-shape.ts";
import type { Lifetime } from "./lifetime.ts";
import { checkMilliseconds, checkSystemOptions } from "./model-options.ts";
import { sentTexts, type SystemParts } from "./turn-input.ts";

/** What every counter may be told. */
export interface CountingOptions {
  readonly model: string;
  /** System text that the model is given, ahead of everything. */
  readonly system?: string;
  /** What becomes of system parts that did not come from a constructor in this program: an error, or the user's words. @default "refuse" */
  readonly systemParts?: SystemParts;
  /** Milliseconds for one request, from sending to the last byte. @default 60_000 */
  readonly firstPartMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** What is special about a service. */
export interface CountingProtocol<Body> extends JsonProtocol<Body> {
  /** The request for these parts; undefined when there is nothing to send. Throws for what the service cannot take. */
  toBody(parts: readonly Part[]): Body | undefined;
  /** The count in an answer. */
  tokensIn(answer: unknown): unknown;
}

/** Refuses what no request could be made of, when the counter is built. */
export function checkCountingOptions(who: string, options: CountingOptions): void {
  checkSystemOptions(who, options);
  const { model, firstPartMs } = options;
  if (typeof model !== "string" || model === "") throw invalidOption(who, "model", "a name", model);
  checkMilliseconds(who, { firstPartMs });
}

/** Makes the function that asks: one request a count, none where there is nothing to send. */
export function tokenCounting<Body>(
  protocol: CountingProtocol<Body>,
  { system, firstPartMs = 60_000, clock = systemClock, fetch, life }: CountingOptions & { readonly fetch?: Fetch | undefined; readonly life: Lifetime },
): (parts: readonly Part[], context?: { readonly signal?: AbortSignal }) => Promise<number> {
  const { service } = protocol;
  return async (parts, { signal } = {}) => {
    signal?.throwIfAborted();
    const call = life.begin(signal);
    try {
      const body = protocol.toBody(parts);
      if (body === undefined) return 0;
      const sent = (): string[] => [...sentTexts(parts), ...(system === undefined ? [] : [system])];
      const tokens = protocol.tokensIn(await jsonRequest(protocol, { firstPartMs, clock, fetch }, { body, sent }, call.signal));
      const count = countOf(tokens);
      if (count === undefined) throw new MillraceError("bad_response", `${service}: answered ${received(tokens)} where a number of tokens was expected`, { service });
      return count;
    } finally {
      call.leave();
    }
  };
}
