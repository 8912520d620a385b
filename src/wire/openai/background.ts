/**
 * Answers that the service makes in the background and keeps: one that broke off is gone on with, one that nobody wants is cancelled.
 *
 * Source: developers.openai.com/api/docs/guides/background
 *
 * @module
 */
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Context } from "../../core/processor.ts";
import type { Resumption } from "../../core/resumable.ts";
import { openExchange } from "../exchange.ts";
import { compact } from "../json-shape.ts";
import { type ModelProtocol, modelTurn, type TurnSettings } from "../model-turn.ts";
import { redaction } from "../redact.ts";
import { type Connect, type OpenAIResponsesClient, requestOptions } from "./client.ts";
import { cursorOf, numberedAnswer, type NumberedReader, type Place } from "./numbered-answer.ts";
import type { ProtocolSettings, ResponsesProtocol } from "./protocols.ts";
import type { ResponsesRequest } from "./responses-request.ts";

/** Milliseconds for the request that cancels: nobody waits for it. */
const cancelMs = 5_000;

/** How such answers are asked for. */
export interface BackgroundSettings extends ProtocolSettings<OpenAIResponsesClient> {
  readonly protocol: ResponsesProtocol;
  readonly settings: TurnSettings;
  /** The model may reason: what it thinks comes encrypted. */
  readonly reasons: boolean;
}

/** Turns of a model whose answers are kept. */
export interface BackgroundTurns {
  turn(input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part>;
  readonly resumption: Resumption;
}

type Connected = Awaited<ReturnType<Connect<OpenAIResponsesClient>>>;

/** What is known of a running answer. */
interface Running {
  connected: Connected | undefined;
  reader: NumberedReader | undefined;
  /** Somebody has a part behind which it can be gone on with. */
  resumable: boolean;
}

/** What is asked to go on. */
interface Retrieval {
  readonly id: string;
  readonly query: { readonly stream: true; readonly include_obfuscation: false; readonly starting_after?: number; readonly include?: readonly string[] };
}

/** Makes the turns. */
export function backgroundTurns({ who, service, connect, protocol, settings, reasons }: BackgroundSettings): BackgroundTurns {
  const { eventOf } = protocol;
  const connected = async (running: Running, signal: AbortSignal): Promise<Connected> => (running.connected = await connect(signal));
  const asked = (running: Running): ModelProtocol<ResponsesRequest> => ({
    ...protocol,
    async prepare(signal) {
      const { secrets, client } = await connected(running, signal);
      return { secrets, send: (body, exchange) => client(exchange).responses.create(body, requestOptions(exchange)), eventOf };
    },
    reader: (redact) => (running.reader = numberedAnswer(service, protocol.reader(redact))),
  });
  const resumed = (running: Running, place: Place): ModelProtocol<Retrieval> => ({
    service,
    toBody: () => ({
      id: place.response,
      query: compact<Retrieval["query"]>({
        stream: true,
        include_obfuscation: false,
        starting_after: place.after < 0 ? undefined : place.after,
        include: reasons ? ["reasoning.encrypted_content"] : undefined,
      }),
    }),
    async prepare(signal) {
      const { secrets, client } = await connected(running, signal);
      return { secrets, send: ({ id, query }, exchange) => kept(client(exchange)).retrieve(id, query, requestOptions(exchange)), eventOf };
    },
    reader: (redact) => (running.reader = numberedAnswer(service, protocol.reader(redact), place)),
    errorOf: protocol.errorOf,
  });
  const cancel = async ({ connected: to, reader }: Running): Promise<void> => {
    if (to === undefined || reader?.response === undefined || reader.complete) return;
    const redact = redaction({ secrets: to.secrets, sent: () => [] });
    const exchange = openExchange({ ...settings, firstPartMs: cancelMs, service, redact, accept: "application/json", errorOf: () => undefined });
    try {
      await exchange.wait(kept(to.client(exchange)).cancel(reader.response, requestOptions(exchange)));
    } catch {
      // the answer is made in vain; whoever left has nothing to do with it any more
    } finally {
      exchange.close();
    }
  };
  async function* followed(running: Running, parts: AsyncIterable<Part>, context: Context | undefined): AsyncGenerator<Part, void, undefined> {
    let isWanted = false;
    try {
      for await (const part of parts) {
        running.resumable ||= cursorOf(part) !== undefined;
        yield part;
      }
      isWanted = true;
    } catch (error) {
      isWanted = running.resumable && context?.signal?.aborted !== true && !isMillraceError(error, "closed");
      throw error;
    } finally {
      if (!isWanted) {
        const cancelled = cancel(running);
        context?.waitUntil(cancelled);
      }
    }
  }
  return {
    turn(input, context) {
      const running: Running = { connected: undefined, reader: undefined, resumable: false };
      return followed(running, modelTurn(asked(running), settings, input, context), context);
    },
    resumption: {
      numberOf: (part) => cursorOf(part)?.part,
      resume(last, context) {
        const place = cursorOf(last);
        if (place === undefined) throw new MillraceError("invalid_input", `${who}: cannot go on behind a part that is of no answer kept by the service`, { service });
        const running: Running = { connected: undefined, reader: undefined, resumable: true };
        return followed(running, modelTurn(resumed(running, place), settings, nothing(), context), context);
      },
    },
  };
}

/** The input of an answer that was asked for already. */
async function* nothing(): AsyncGenerator<Part, void, undefined> {}

/** The methods beyond the first: the official client has them, one of the caller's was asked for them when the adapter was built. */
function kept({ responses }: OpenAIResponsesClient): Required<OpenAIResponsesClient["responses"]> {
  return responses as Required<OpenAIResponsesClient["responses"]>;
}
