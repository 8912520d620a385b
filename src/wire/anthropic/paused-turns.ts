/**
 * Turns that the service pauses are sent back unchanged until they end, as one answer with one finish part.
 *
 * Source: platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools
 *
 * @module
 */
import { finish } from "../../core/constructors.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import type { FinishPart, Part } from "../../core/part.ts";
import type { Context } from "../../core/processor.ts";
import { sumOfUsage } from "../../core/usage.ts";
import { shapeOf, wordsOf } from "../json-shape.ts";
import { type ModelProtocol, modelTurn, type TurnSettings } from "../model-turn.ts";

/** What a turn goes on with. */
export interface PausedSettings<Body> {
  /** The protocol of a request that goes on in this container, where the service's tools keep their files. */
  readonly protocol: (container: string | undefined) => ModelProtocol<Body>;
  readonly turn: TurnSettings;
  /** Requests after the first, at most; a turn that is paused once more ends with reason `pause`. */
  readonly maxContinuations: number;
}

/** Runs a turn over as many requests as it takes. */
export function pausedTurns<Body>(settings: PausedSettings<Body>, input: AsyncIterable<Part>, context: Context | undefined): AsyncIterable<Part> {
  const { protocol, turn, maxContinuations } = settings;
  return maxContinuations === 0 ? modelTurn(protocol(undefined), turn, input, context) : continued(settings, input, context);
}

async function* continued<Body>({ protocol, turn, maxContinuations }: PausedSettings<Body>, input: AsyncIterable<Part>, context: Context | undefined): AsyncGenerator<Part, void, undefined> {
  const pauses: FinishPart[] = [];
  const said: Part[] = [];
  let question: readonly Part[] = [];
  let container: string | undefined;
  let called = false; // then the results of the calls are due first
  for (;;) {
    const request = protocol(container);
    const first = pauses.length === 0;
    const round: ModelProtocol<Body> = {
      ...request,
      toBody(parts, asked) {
        if (first) question = parts;
        return request.toBody(parts, asked);
      },
    };
    let pause: FinishPart | undefined;
    try {
      for await (const part of modelTurn(round, turn, first ? input : replayed([...question, ...said]), context)) {
        if (part.kind !== "finish") {
          said.push(part);
          if (part.kind === "toolCall") called = true;
          yield part;
        } else if (part.reason === "pause" && pauses.length < maxContinuations && !called) {
          pause = part;
        } else {
          yield joined(part, pauses);
        }
      }
    } catch (error) {
      throw first ? error : interruptedBy(request.service, error, said, pauses, context?.signal);
    }
    if (pause === undefined) return;
    pauses.push(pause);
    container = wordsOf(shapeOf(shapeOf(pause.metadata.anthropic)?.container)?.id) ?? container;
  }
}

async function* replayed(parts: readonly Part[]): AsyncGenerator<Part, void, undefined> {
  yield* parts;
}

/** The last finish part, with what all requests took. */
function joined(last: FinishPart, pauses: readonly FinishPart[]): FinishPart {
  if (pauses.length === 0) return last;
  const { reason, rawReason, model } = last;
  const about = { ...shapeOf(last.metadata.anthropic), pauses: pauses.map(({ metadata }) => metadata.anthropic) };
  return finish({ reason, rawReason, model, usage: sumOfUsage([...pauses, last].map(({ usage }) => usage)) }, { metadata: { ...last.metadata, anthropic: about } });
}

/** A later request failed: to whoever has the parts of earlier ones, the answer broke off. */
function interruptedBy(service: string, error: unknown, said: readonly Part[], pauses: readonly FinishPart[], signal: AbortSignal | undefined): unknown {
  if (said.length === 0 || signal?.aborted === true || isMillraceError(error, "closed")) return error;
  const own = isMillraceError(error, "interrupted");
  const cause = own ? error.cause : error;
  const usages = [...pauses.map(({ usage }) => usage), isMillraceError(error) ? error.partial?.usage : undefined];
  const text = said.map((part) => (part.kind === "text" && part.substream === "" ? part.text : "")).join("");
  const why = cause instanceof Error ? cause.message : String(cause);
  const partial = { parts: said.length, text, usage: { ...sumOfUsage(usages), partial: true } };
  return new MillraceError("interrupted", `${service}: the answer broke off after ${said.length} parts: ${why}`, { service, partial, cause });
}
