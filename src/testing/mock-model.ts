/**
 * A model that says what it is told to, as a real one would say it: in deltas, with reasoning, tool calls and a finish part, late,
 * broken off or not at all.
 *
 * @module
 */
import { type Asked, askedOf } from "../core/asked.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { finish, text, toolCall } from "../core/constructors.ts";
import { isWholePart } from "../core/content.ts";
import { invalidOption, isMillraceError, MillraceError, received } from "../core/errors.ts";
import type { FinishReason, JsonValue, Part, Usage } from "../core/part.ts";
import { utf8Length } from "../core/part-size.ts";
import type { Context } from "../core/processor.ts";
import { type Model, modelOf } from "../kinds/model.ts";
import { collect } from "../wire/collect.ts";
import { heard } from "../wire/heard.ts";
import { type Lifetime, lifetime } from "../wire/lifetime.ts";
import { sentTexts, spokenParts, type SystemParts } from "../wire/turn-input.ts";

/** One thing that a mock model does in a turn. */
export type MockEvent =
  /** A delta of the answer. */
  | string
  /** Any part, as it is. A finish part ends the turn. */
  | Part
  /** A delta of the reasoning. */
  | { readonly reasoning: string }
  /** An id is made where none is given. */
  | { readonly toolCall: { readonly name: string; readonly arguments?: JsonValue; readonly id?: string } }
  /** Nothing, for so many milliseconds of the clock. */
  | { readonly waitMs: number }
  /** Nothing any more, until it is aborted. */
  | { readonly stall: true }
  /** Breaks: this error before anything was handed on, `interrupted` around it afterwards, as adapters do. */
  | { readonly error: unknown }
  /** The connection ends without the terminal event. */
  | { readonly truncate: true }
  /** How the turn ends. @default "tool_calls" after tool calls, else "stop" */
  | { readonly finish: FinishReason; readonly rawReason?: string; readonly usage?: Usage };

/** One turn: a whole answer, which comes word by word, or events. */
export type MockAnswer = string | readonly MockEvent[];

/** The answers by turn, or a function that makes them. */
export type MockScript = readonly MockAnswer[] | ((call: MockCall) => MockAnswer | Promise<MockAnswer>);

/** What a mock model was asked. */
export interface MockCall {
  /** From 1. */
  readonly turn: number;
  /** All parts of the input, in order. */
  readonly input: readonly Part[];
  /** The text among them, main stream only. */
  readonly text: string;
  /** What wrappers asked of the turn: tools, JSON of a schema. */
  readonly asked: Asked;
  /** Aborts with the call. */
  readonly signal: AbortSignal;
  /** Parts handed on so far. */
  readonly delivered: number;
  /** How it ended. `left`: nobody read on; an abort is one too. */
  readonly outcome: "running" | "complete" | "failed" | "left";
}

/** Of a mock model. */
export interface MockModelOptions {
  /** @default "mock-model" */
  readonly name?: string;
  /** Milliseconds before each delta. @default 0 */
  readonly deltaMs?: number;
  /** As of the real ones: system parts that the program did not make are refused. @default "refuse" */
  readonly systemParts?: SystemParts;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** A model and its record. */
export interface MockModel extends Model {
  /** Every request, in order; a call whose input held nothing to say made none. */
  readonly calls: readonly MockCall[];
}

/** UTF-8 bytes of English that a token stands for: a rule of thumb, so that usage is not 0. */
const bytesPerToken = 4;

/**
 * Makes a model from a script.
 *
 * Reads:  its whole input, as every model does; no parts, no request.
 * Yields: what the script says; a finish part last, with usage counted at four bytes a token unless the script says it.
 * Throws: `missing_config` for a turn that the script has no answer for; what the script says; `truncated` and `interrupted` as an adapter
 *         does; `refused` for a system part that came from data; `closed` after `close()`.
 *
 * @example
 * const model = mockModel(["Hello there.", [{ error: new MillraceError("unavailable", "down") }]]);
 * console.log(await run(model, "Hi").text()); // Hello there.
 * await run(model, "Hi").text().catch((error: MillraceError) => console.log(error.code, model.calls.length)); // unavailable 2
 */
export function mockModel(script: MockScript, options: MockModelOptions = {}): MockModel {
  if (typeof script !== "function" && !Array.isArray(script)) throw invalidOption("mockModel", "script", "answers or a function", script);
  const { name = "mock-model" } = options;
  const calls: Recorded[] = [];
  const life = lifetime(name, async () => {});
  const turn = (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part> => answer({ name, script, calls, life, options }, input, context);
  return Object.assign(modelOf(name, turn, () => life.close()), { calls });
}

type Recorded = { -readonly [K in keyof MockCall]: MockCall[K] };

interface Mock {
  readonly name: string;
  readonly script: MockScript;
  readonly calls: Recorded[];
  readonly life: Lifetime;
  readonly options: MockModelOptions;
}

async function* answer(mock: Mock, input: AsyncIterable<Part>, context: Context | undefined): AsyncGenerator<Part> {
  const { name, calls, life, options } = mock;
  const { clock = systemClock, deltaMs = 0 } = options;
  const signal = context?.signal;
  signal?.throwIfAborted();
  const turn = life.begin(signal);
  let call: Recorded | undefined;
  const said = { text: "", reasoning: "", bytes: 0 };
  try {
    const parts = await collect(input, turn.signal);
    if (spokenParts(name, parts, options.systemParts ?? "refuse", () => true).length === 0) return;
    call = { turn: calls.length + 1, input: parts, text: textOf(parts), asked: askedOf(context), signal: turn.signal, delivered: 0, outcome: "running" };
    calls.push(call);
    const events = await heard(eventsOf(mock, call), turn.signal);
    const usageBefore = tokens(sentTexts(parts).join(""));
    const usage = (): Usage => ({
      inputTokens: usageBefore,
      outputTokens: Math.ceil(said.bytes / bytesPerToken),
      ...(said.reasoning === "" ? {} : { reasoningTokens: tokens(said.reasoning) }),
    });
    const broken = (error: unknown): unknown => {
      if (call === undefined || call.delivered === 0 || isMillraceError(error, "interrupted")) return error;
      const why = error instanceof Error ? error.message : String(error);
      const partial = { parts: call.delivered, text: said.text, usage: { ...usage(), partial: true } };
      return new MillraceError("interrupted", `${name}: the answer broke off after ${call.delivered} parts: ${why}`, { service: name, partial, cause: error });
    };
    let reason: FinishReason = "stop";
    let ids = 0;
    for (const event of events) {
      if (isMarker(event, "waitMs")) await clock.sleep(event.waitMs, turn.signal);
      else if (isMarker(event, "stall")) await heard(new Promise<never>(() => {}), turn.signal);
      else if (isMarker(event, "error")) throw broken(event.error);
      else if (isMarker(event, "truncate")) throw broken(new MillraceError("truncated", `${name}: the answer ended without its terminal event`, { service: name }));
      else {
        if (deltaMs > 0) await clock.sleep(deltaMs, turn.signal);
        let part: Part;
        if (typeof event === "string") part = text(event, { role: "assistant" });
        else if (isMarker(event, "reasoning")) part = text(event.reasoning, { role: "assistant", substream: "reasoning" });
        else if (isMarker(event, "toolCall")) {
          ids += 1;
          const { id = `call_${call.turn}_${ids}`, name: tool, arguments: args = {} } = event.toolCall;
          part = toolCall({ id, name: tool, arguments: args });
        } else if (isMarker(event, "finish")) part = finish({ reason: event.finish, model: name, usage: event.usage ?? usage(), ...(event.rawReason === undefined ? {} : { rawReason: event.rawReason }) });
        else part = event;
        turn.signal.throwIfAborted();
        if (part.kind === "toolCall") reason = "tool_calls";
        count(said, part);
        if (part.kind === "finish") {
          call.outcome = "complete"; // whoever reads no further has all of it
          call.delivered += 1;
          return yield part;
        }
        call.delivered += 1;
        yield part;
        turn.signal.throwIfAborted();
      }
    }
    call.outcome = "complete";
    call.delivered += 1;
    yield finish({ reason, model: name, usage: usage() });
  } catch (error) {
    if (call !== undefined) call.outcome = turn.signal.aborted ? "left" : "failed";
    throw turn.signal.aborted ? turn.signal.reason : error;
  } finally {
    if (call?.outcome === "running") call.outcome = "left";
    turn.leave();
  }
}

async function eventsOf({ name, script }: Mock, call: MockCall): Promise<readonly MockEvent[]> {
  const said = typeof script === "function" ? await script(call) : script[call.turn - 1];
  if (typeof said === "string") return said.match(/\S+\s*|\s+/g) ?? [];
  if (said !== undefined) return said.map((event) => checked(name, event));
  const length = typeof script === "function" ? "a function" : `${script.length} answers`;
  throw new MillraceError("missing_config", `${name}: no answer for turn ${call.turn}, the script is ${length}`);
}

const markers = ["reasoning", "toolCall", "waitMs", "stall", "error", "truncate", "finish"] as const;

type Marker = Exclude<MockEvent, string | Part>;

/** A part has a kind; what tells the other events apart is their one key. */
function isMarker<K extends (typeof markers)[number]>(event: MockEvent, key: K): event is Extract<Marker, Readonly<Record<K, unknown>>> {
  return typeof event === "object" && !("kind" in event) && key in event;
}

function checked(name: string, event: MockEvent): MockEvent {
  if (typeof event === "string" || isWholePart(event) || markers.some((key) => isMarker(event, key))) return event;
  throw new MillraceError("invalid_input", `${name}: an event is a text, a part or an object with one of ${markers.join(", ")}, got ${received(event)}`);
}

function count(said: { text: string; reasoning: string; bytes: number }, part: Part): void {
  if (part.kind === "text") {
    if (part.substream === "") said.text += part.text;
    if (part.substream === "reasoning") said.reasoning += part.text;
  }
  for (const sent of sentTexts([part])) said.bytes += utf8Length(sent);
}

function textOf(parts: readonly Part[]): string {
  return parts.map((part) => (part.kind === "text" && part.substream === "" ? part.text : "")).join("");
}

function tokens(said: string): number {
  return Math.ceil(utf8Length(said) / bytesPerToken);
}
