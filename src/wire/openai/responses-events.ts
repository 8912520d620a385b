/**
 * Events of the Responses API to parts.
 *
 * Source: platform.openai.com/docs/api-reference/responses-streaming
 *
 * @module
 */
import { finish, json, text } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { FinishReason, JsonValue, Part, PartOptions, Usage } from "../../core/part.ts";
import { compact, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import type { AnswerReader } from "../model-turn.ts";
import { requireWhole } from "../strict-finish.ts";
import { type TextJoin, textJoin } from "../text-join.ts";
import { partialImage, wholeImage } from "./image-output.ts";
import { itemMetadata } from "./returned.ts";
import { callPart } from "./tool-call.ts";
import { usageOf } from "./usage.ts";

const answer: PartOptions = { role: "assistant" };
const reasoning: PartOptions = { role: "assistant", substream: "reasoning" };
const refusal: PartOptions = { role: "assistant", metadata: { openai: { refusal: true } } };
const sources: PartOptions = { role: "assistant", substream: "sources" };

/** Tools at work: signs of life, though no part comes of them. */
const toolEvent = /^response\.(?:\w+_call(?:_\w+)?|mcp_list_tools)\./;

/** What the reader is told. */
export interface ReaderSettings {
  readonly service: string;
  /** Cut and filtered answers are errors. */
  readonly strictFinish: boolean;
  /** The error that an event reports. */
  readonly errorOf: (error: unknown) => MillraceError;
}

/** What a reader of responses is told besides. */
export interface ResponsesReaderSettings extends ReaderSettings {
  /** The service keeps the response. */
  readonly stored: boolean;
}

/** A reader that can say whether it could be done without. */
export interface ResponsesReader extends AnswerReader {
  /** Does nothing that was read so far matter to what comes? */
  readonly settled: boolean;
}

/** Reads one streamed response. */
export function responsesReader({ service, strictFinish, stored, errorOf }: ResponsesReaderSettings): ResponsesReader {
  const joins = new Map<string, TextJoin>();
  const openCalls = new Set<unknown>();
  let steps = 0;
  let calls = 0;
  let refused = false;
  let cutCall = false;
  let last: Shape | undefined;
  let final: Shape | undefined;

  const bad = (what: string): MillraceError => new MillraceError("bad_response", `${service}: ${what}`, { service });
  const joinOf = (event: Shape): TextJoin => {
    const key = `${String(event.item_id)} ${String(event.content_index ?? event.summary_index)} ${String(event.type).split(".")[1]}`;
    const join = joins.get(key) ?? textJoin();
    joins.set(key, join);
    return join;
  };
  const delta = (event: Shape, options: PartOptions): Part[] => {
    if (typeof event.delta !== "string") throw bad(`a ${String(event.type).slice(0, 60)} event has no text`);
    if (event.delta === "") return [];
    steps += 1;
    const words = joinOf(event).push(event.delta);
    return words === "" ? [] : [text(words, options)];
  };
  const rest = (event: Shape, options: PartOptions): Part[] => {
    const words = joinOf(event).rest();
    return words === "" ? [] : [text(words, options)];
  };
  const added = (item: Shape | undefined): Part[] => {
    if (item?.type === "function_call") openCalls.add(item.id ?? item.call_id);
    if (item?.type === "message" && item.role !== undefined && item.role !== "assistant") throw bad("the model speaks in a role that is not its own");
    return [];
  };
  const itemDone = (item: Shape | undefined): Part[] => {
    const type = wordsOf(item?.type);
    if (item === undefined || type === undefined || type === "message") return [];
    if (type === "function_call") return callDone(item);
    steps += 1;
    const about = checkedItem(item);
    if (type === "reasoning") return [text("", { ...reasoning, metadata: itemMetadata(service, about) })];
    const image = type === "image_generation_call" ? wholeImage(service, shapeOf(about) ?? {}, stored) : undefined;
    return [image ?? json(about, { ...sources, metadata: itemMetadata(service, true) })];
  };
  const callDone = (item: Shape): Part[] => {
    openCalls.delete(item.id ?? item.call_id);
    if (item.status === "incomplete") {
      cutCall = true; // what there is of it may parse and still not be meant
      return [];
    }
    steps += 1;
    calls += 1;
    return [callPart(service, { id: item.call_id, name: item.name, arguments: typeof item.arguments === "string" ? item.arguments : "" })];
  };
  const checkedItem = (value: unknown): JsonValue => {
    try {
      return checkedJson(value, "item");
    } catch (error) {
      throw new MillraceError("bad_response", `${service}: an item holds a key or a depth that is refused`, { service, cause: error });
    }
  };
  const terminal = (event: Shape): Part[] => {
    last = event;
    final = shapeOf(event.response) ?? {};
    return [];
  };
  const handlers: Readonly<Record<string, (event: Shape) => Part[]>> = {
    "response.output_text.delta": (event) => delta(event, answer),
    "response.output_text.done": (event) => rest(event, answer),
    "response.reasoning_summary_text.delta": (event) => delta(event, reasoning),
    "response.reasoning_summary_text.done": (event) => rest(event, reasoning),
    "response.reasoning_text.delta": (event) => delta(event, reasoning),
    "response.reasoning_text.done": (event) => rest(event, reasoning),
    "response.refusal.delta": (event) => {
      refused = true;
      return delta(event, refusal);
    },
    "response.refusal.done": (event) => rest(event, refusal),
    "response.image_generation_call.partial_image": (event) => {
      steps += 1;
      return [partialImage(service, event)];
    },
    "response.output_item.added": (event) => added(shapeOf(event.item)),
    "response.output_item.done": (event) => itemDone(shapeOf(event.item)),
    "response.output_text.annotation.added": (event) => {
      const note = shapeOf(event.annotation);
      if (note === undefined) return [];
      steps += 1;
      return [json(checkedItem(note), sources)];
    },
    "response.completed": terminal,
    "response.incomplete": terminal,
    "response.failed": (event) => {
      throw errorOf(shapeOf(event.response)?.error ?? event);
    },
    error: (event) => {
      throw errorOf(event.error ?? event);
    },
  };
  return {
    read(value) {
      const event = shapeOf(value);
      if (event === undefined) throw bad("an event is no object");
      if (last !== undefined) return []; // the first terminal event counts
      const type = wordsOf(event.type);
      const handler = type !== undefined && Object.hasOwn(handlers, type) ? handlers[type] : undefined;
      if (handler !== undefined) return handler(event);
      if (type !== undefined && toolEvent.test(type)) steps += 1; // what it gathers comes whole with its item
      return [];
    },
    get steps() {
      return steps;
    },
    get settled() {
      const isHalf = openCalls.size > 0 || [...joins.values()].some(({ waits }) => waits);
      return !isHalf && calls === 0 && !refused && !cutCall; // the end asks for the latter three
    },
    get complete() {
      return last !== undefined;
    },
    get final() {
      return last !== undefined;
    },
    get usage(): Usage {
      return usageOf(final?.usage);
    },
    end({ requestId }) {
      if (last === undefined || final === undefined) return undefined;
      const { reason, rawReason } = endOf(last, final, calls > 0, refused);
      if (reason === "length" && (openCalls.size > 0 || cutCall)) throw new MillraceError("truncated", `${service}: the answer was cut within a tool call`, { service });
      if (strictFinish) requireWhole(service, reason, rawReason);
      const about = compact<object>({ usage: final.usage, responseId: final.id, requestId } as object);
      return [finish({ reason, rawReason, usage: usageOf(final.usage), model: wordsOf(final.model) ?? "" }, { metadata: { openai: about } })];
    },
  };
}

function endOf(event: Shape, response: Shape, called: boolean, refused: boolean): { readonly reason: FinishReason; readonly rawReason: string } {
  if (event.type === "response.incomplete") {
    const rawReason = wordsOf(shapeOf(response.incomplete_details)?.reason) ?? "incomplete";
    return { reason: rawReason === "max_output_tokens" ? "length" : rawReason === "content_filter" ? "content_filter" : "other", rawReason };
  }
  const rawReason = wordsOf(response.status) ?? "completed";
  return { reason: refused ? "refusal" : called ? "tool_calls" : "stop", rawReason };
}
