/**
 * Turns of a model by the Responses API, whoever serves it: forgotten there, or kept so that they can be gone on with.
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Context } from "../../core/processor.ts";
import type { Resumption } from "../../core/resumable.ts";
import { modelTurn, type TurnSettings } from "../model-turn.ts";
import { backgroundTurns } from "./background.ts";
import type { OpenAIResponsesClient } from "./client.ts";
import type { ResponsesOptions } from "./options.ts";
import { type ProtocolSettings, responsesProtocol } from "./protocols.ts";

/** Turns of a model. */
export interface ResponsesTurns {
  turn(input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part>;
  /** How to go on with one, where the options ask for that. */
  readonly resumption: Resumption | undefined;
}

/** Makes the turns. */
export function responsesTurns(asking: ProtocolSettings<OpenAIResponsesClient>, options: ResponsesOptions, settings: TurnSettings): ResponsesTurns {
  const protocol = responsesProtocol(asking, options);
  if (options.resumable !== true) return { turn: (input, context) => modelTurn(protocol, settings, input, context), resumption: undefined };
  return backgroundTurns({ ...asking, protocol, settings, reasons: options.reasoning !== false });
}

/** Refuses a client of the caller's that could not do what the options ask for. */
export function checkResponsesClient(who: string, client: Partial<OpenAIResponsesClient> | undefined, { resumable }: ResponsesOptions): void {
  const missing = (["retrieve", "cancel"] as const).find((name) => client !== undefined && typeof client.responses?.[name] !== "function");
  if (resumable === true && missing !== undefined) throw invalidOption(who, "client", `a client with responses.${missing}, which resumable needs`, client);
}
