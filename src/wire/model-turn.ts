/**
 * One turn of a model: the whole input in, one request, the answer out as it comes, ended in exactly one way.
 *
 * Either a finish part is the last, or it throws: `truncated` without the service's terminal event, the fault's own code before
 * anything was handed on, `interrupted` around it afterwards, the signal's reason on abort, `closed` when the adapter is closed.
 *
 * @module
 */
import { type Asked, askedOf } from "../core/asked.ts";
import type { Clock } from "../core/clock.ts";
import { isMillraceError, MillraceError } from "../core/errors.ts";
import { isReserved } from "../core/guards.ts";
import type { Part, Usage } from "../core/part.ts";
import type { Context } from "../core/processor.ts";
import type { Fetch } from "./answer.ts";
import { type AnswerEvents, clientEvents, NONE, sseEvents } from "./answer-events.ts";
import { collect } from "./collect.ts";
import { type Exchange, maxTextEventBytes, openExchange, type Timeouts } from "./exchange.ts";
import { heard } from "./heard.ts";
import type { Lifetime } from "./lifetime.ts";
import { type Redact, redaction } from "./redact.ts";
import type { SseEvent } from "./sse-decoder.ts";
import { sentTexts } from "./turn-input.ts";

/** Reads the events of one answer. */
export interface AnswerReader {
  /** The parts of an event; throws the error that an event reports. */
  read(event: unknown): readonly Part[];
  /** Grows with each event that brings content, also where a part comes of it only later. */
  readonly steps: number;
  /** Has the terminal event come? What fails after it does no harm. */
  readonly complete: boolean;
  /** Does nothing come any more that matters? */
  readonly final: boolean;
  /** After the last event: what was gathered, then the finish part; undefined when the answer is not complete. */
  end(answer: { readonly done: boolean; readonly requestId: string | undefined }): readonly Part[] | undefined;
  readonly usage: Usage;
}

/** A connection to the service that is ready to send. */
export interface Sender<Body> {
  /** Keys and the like, which no message may hold. */
  readonly secrets: readonly string[];
  send(body: Body, exchange: Exchange, redact: Redact): PromiseLike<AsyncIterable<unknown>>;
  /**
   * What an event of a `text/event-stream` says, for the reader; undefined for nothing. Throws what it reports. Where this is given,
   * answers that came by the exchange's `fetch` are decoded here, in less time than clients take; those only ask.
   */
  eventOf?(event: SseEvent, redact: Redact): unknown;
}

/** What is special about a service. */
export interface ModelProtocol<Body> {
  readonly service: string;
  /** Content type of an answer. @default "text/event-stream" */
  readonly accept?: "text/event-stream" | "application/x-ndjson";
  /** The request for these parts; undefined when there is nothing to say. Throws for what the service cannot take. */
  toBody(parts: readonly Part[], asked: Asked): Body | undefined;
  /** Client, key: what a request needs. */
  prepare(signal: AbortSignal): Promise<Sender<Body>>;
  reader(redact: Redact): AnswerReader;
  /** The error in a JSON body or an error of the client's, in our words; undefined for what is none. */
  errorOf(error: unknown, redact: Redact): MillraceError | undefined;
}

/** What turns of one adapter share. */
export interface TurnSettings extends Timeouts {
  readonly clock: Clock;
  readonly fetch?: Fetch | undefined;
  /** Bytes of one event, where it may bring more than text. */
  readonly maxEventBytes?: number | undefined;
  /** Text of the adapter's own that is sent. */
  readonly system?: string | undefined;
  readonly life: Lifetime;
}

/** What services call the id that they give a request. */
const requestIdHeaders = ["x-request-id", "request-id", "apim-request-id"];

/** Runs one turn. */
export async function* modelTurn<Body>(
  protocol: ModelProtocol<Body>,
  settings: TurnSettings,
  input: AsyncIterable<Part>,
  context: Context | undefined,
): AsyncGenerator<Part, void, undefined> {
  const { service } = protocol;
  const signal = context?.signal;
  signal?.throwIfAborted();
  const turn = settings.life.begin(signal);
  let exchange: Exchange | undefined;
  let events: AnswerEvents | undefined;
  try {
    const parts = await collect(input, turn.signal);
    const asked = askedOf(context);
    const body = protocol.toBody(parts, asked);
    if (body === undefined) return;
    const sender = await heard(protocol.prepare(turn.signal), turn.signal);
    const texts = (): string[] => [...sentTexts(parts), ...(settings.system === undefined ? [] : [settings.system])];
    const redact = redaction({ secrets: sender.secrets, sent: texts });
    const eventOf = sender.eventOf?.bind(sender);
    const call = openExchange({
      ...settings,
      service,
      redact,
      accept: protocol.accept ?? "text/event-stream",
      takesBody: eventOf !== undefined,
      errorOf: (error) => protocol.errorOf(error, redact),
    });
    exchange = call;
    turn.signal.addEventListener("abort", () => call.fail(turn.signal.reason), { once: true });
    if (turn.signal.aborted) call.fail(turn.signal.reason);

    const reader = protocol.reader(redact);
    const delivered = { parts: 0, text: "" };
    const faultOf = (error: unknown): unknown => {
      if (turn.signal.aborted) return turn.signal.reason;
      const reason = call.failure?.reason ?? error;
      const fault = isMillraceError(reason) ? reason : (protocol.errorOf(reason, redact) ?? reason);
      if (delivered.parts === 0) return fault;
      const why = fault instanceof Error ? fault.message : String(fault);
      const partial = { ...delivered, usage: { ...reader.usage, partial: true } };
      return new MillraceError("interrupted", `${service}: the answer broke off after ${delivered.parts} parts: ${why}`, { service, partial, cause: fault });
    };

    try {
      const opened = await call.wait(sender.send(body, call, redact));
      const { maxEventBytes = maxTextEventBytes } = settings;
      events =
        call.body === undefined || eventOf === undefined
          ? clientEvents(opened, call)
          : sseEvents(call.body, { service, maxEventBytes, eventOf: (event) => eventOf(event, redact) });
    } catch (error) {
      throw faultOf(error);
    }
    let { steps } = reader;
    while (!reader.final) {
      let made: readonly Part[];
      try {
        const event = events.take();
        if (event === NONE) {
          call.resume();
          if (!(await events.more())) break;
          call.pause(); // what has come is not waited for
          continue;
        }
        made = reader.read(event);
        if (reader.steps !== steps) call.progressed();
        steps = reader.steps;
      } catch (error) {
        if (reader.complete && !turn.signal.aborted) break;
        throw faultOf(error);
      }
      for (const part of made) {
        if (turn.signal.aborted) throw turn.signal.reason;
        if (!isReserved(part)) delivered.parts += 1; // a status is no content: the call may still be made again
        if (part.kind === "text" && part.substream === "") delivered.text += part.text;
        yield part;
      }
    }
    // Clients end an aborted stream as if it were whole.
    if (turn.signal.aborted) throw turn.signal.reason;
    if (call.failure !== undefined && !reader.complete) throw faultOf(call.failure.reason);
    let last: readonly Part[] | undefined;
    try {
      const requestId = requestIdHeaders.map((name) => call.answer?.headers.get(name) ?? undefined).find((id) => id !== undefined);
      last = reader.end({ done: events.done || call.done, requestId });
      if (last === undefined) {
        throw new MillraceError("truncated", `${service}: the answer ends without its terminal event`, { service, partial: { ...delivered, usage: { ...reader.usage, partial: true } } });
      }
    } catch (error) {
      throw faultOf(error);
    }
    for (const part of last) {
      if (turn.signal.aborted) throw turn.signal.reason;
      call.pause();
      yield part;
    }
    await call.drain();
  } finally {
    turn.leave();
    exchange?.close();
    events?.close();
  }
}
