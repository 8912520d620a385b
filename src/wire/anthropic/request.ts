/**
 * Parts to a request of the Messages API.
 *
 * Source: platform.claude.com/docs/en/api/messages/create, …/build-with-claude/mid-conversation-system-messages
 *
 * @module
 */
import type { ModelTool } from "../../core/asked.ts";
import { MillraceError } from "../../core/errors.ts";
import type { JsonValue, Part, ToolCallPart, ToolResultPart } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { compact, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import { mediaInside, resultText, type WithMedia } from "../tool-media.ts";
import { spokenParts, type SystemParts } from "../turn-input.ts";
import { type CacheControl, cacheOf, type DocumentBlock, type ImageBlock, mediaBlock } from "./content.ts";
import { asReturned, returnedBlock, type ReturnedBlock, returnedCitation, textBlockOf } from "./returned.ts";

/** Text. */
export interface TextBlock {
  readonly type: "text";
  readonly text: string;
  readonly citations?: readonly Shape[];
  readonly cache_control?: CacheControl;
}

/** A tool call as it is sent back. */
export interface ToolUseBlock {
  readonly type: "tool_use";
  readonly id: string;
  readonly name: string;
  readonly input: unknown;
  readonly caller?: unknown;
  readonly toolset_name?: string;
  readonly cache_control?: CacheControl;
}

/** What a tool answered. */
export interface ToolResultBlock {
  readonly type: "tool_result";
  readonly tool_use_id: string;
  readonly content: string | readonly (TextBlock | ImageBlock | DocumentBlock)[];
  readonly is_error?: true;
  readonly toolset_name?: string;
  readonly cache_control?: CacheControl;
}

/** A piece of a message. */
export type Block = TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock | ReturnedBlock;

/** One message. */
export interface Message {
  readonly role: "user" | "assistant" | "system";
  readonly content: readonly Block[];
}

/** What is sent. */
export interface MessagesRequest {
  readonly model: string;
  readonly max_tokens: number;
  readonly messages: readonly Message[];
  readonly stream: true;
  readonly system?: string | readonly TextBlock[];
  readonly cache_control?: CacheControl;
  readonly thinking?: unknown;
  readonly output_config?: unknown;
  readonly stop_sequences?: readonly string[];
  readonly tools?: readonly unknown[];
  readonly tool_choice?: unknown;
  readonly container?: string;
}

/** What the options decide. */
export interface MessagesSettings {
  readonly who: string;
  readonly system?: string | undefined;
  readonly systemParts: SystemParts;
  /** Documents may be cited. */
  readonly cited: boolean;
  /** Everything but what the parts decide; a key that is undefined is left out. */
  readonly fields: { readonly [K in keyof Omit<MessagesRequest, "messages" | "system">]: MessagesRequest[K] | undefined };
  /** Goes out as it is, before the fields. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Marks for the cache in one request, the one of the whole request included. */
const maxCacheMarks = 4;

/** A tool as it is declared. */
export function declared({ name, description, parameters }: ModelTool): object {
  return { name, ...(description === undefined ? {} : { description }), input_schema: parameters };
}

/** The request for these parts; undefined when there is nothing but system text to send. */
export function toMessagesRequest(parts: readonly Part[], settings: MessagesSettings): MessagesRequest | undefined {
  const { who, systemParts, fields, extra } = settings;
  const spoken = spokenParts(who, parts.map(asReturned), systemParts, (part) => returnedBlock(part) !== undefined || returnedCitation(part) !== undefined);
  const talk = conversation(settings);
  for (const one of mediaInside(spoken)) talk.add(one);
  const { system, messages } = talk.end();
  if (!messages.some(({ role }) => role !== "system")) return undefined;
  const request: MessagesRequest = { ...extra, ...compact<Omit<MessagesRequest, "messages" | "system">>(fields), ...(system === undefined ? {} : { system }), messages };
  const marks = [request, ...(typeof system === "object" ? system : []), ...messages.flatMap(({ content }) => content)].filter((it) => "cache_control" in it && it.cache_control !== undefined);
  if (marks.length > maxCacheMarks) {
    throw new MillraceError("invalid_input", `${who}: ${marks.length} marks for the cache, ${maxCacheMarks} at most are taken`, { service: who });
  }
  return request;
}

/** A text block that is still being put together, of deltas and citations. */
interface OpenText {
  readonly key: unknown;
  text: string;
  readonly citations: Shape[];
  cache: { readonly cache_control?: CacheControl };
}

type Piece = { readonly block: Block } | { readonly words: OpenText };

interface OpenMessage {
  readonly role: Message["role"];
  readonly pieces: Piece[];
  /** Tool results so far: they come first. */
  results: number;
}

/** Puts messages together: neighbours of one role are one. */
function conversation({ who, system: systemText, cited }: MessagesSettings): { add(one: WithMedia): void; end(): { readonly system: MessagesRequest["system"]; readonly messages: Message[] } } {
  const leading: TextBlock[] = [];
  const messages: OpenMessage[] = [];
  const toolsets = new Map<string, string>();
  let waiting: TextBlock[] = [];

  const speak = (): void => {
    if (waiting.length > 0) messages.push({ role: "system", pieces: waiting.map((block) => ({ block })), results: 0 });
    waiting = [];
  };
  const messageOf = (role: "user" | "assistant"): OpenMessage => {
    if (role === "assistant") speak(); // system text in the middle stands behind the user's turn
    const last = messages.at(-1);
    if (last?.role === role) return last;
    const next: OpenMessage = { role, pieces: [], results: 0 };
    messages.push(next);
    return next;
  };
  const assistant = (part: Part): void => {
    const message = messageOf("assistant");
    const key = textBlockOf(part);
    const before = message.pieces.at(-1);
    const open = before !== undefined && "words" in before && before.words.key === key ? before.words : undefined;
    const citation = part.substream === "reasoning" ? returnedCitation(part) : undefined;
    if (citation === undefined && part.substream === "reasoning") {
      const block = returnedBlock(part);
      if (block !== undefined) message.pieces.push({ block });
    } else if (part.kind === "toolCall") {
      const toolset = wordsOf(shapeOf(part.metadata.anthropic)?.toolsetName);
      if (toolset !== undefined) toolsets.set(part.id, toolset);
      message.pieces.push({ block: toolUse(who, part, toolset) });
    } else {
      const words: OpenText = open ?? { key, text: "", citations: [], cache: {} };
      if (open === undefined) message.pieces.push({ words });
      if (citation !== undefined) return void words.citations.push(citation);
      words.text += wordsIn(who, part); // an answer that comes back came in deltas
      words.cache = { ...words.cache, ...cacheOf(who, part) };
    }
  };
  const user = (part: Part, media: WithMedia["media"]): void => {
    const message = messageOf("user");
    if (part.kind === "toolResult") {
      const blocks = media.map((one) => mediaBlock(who, one, cited));
      // a result that is an error is refused with anything but text in it
      const [inside, behind] = part.isError ? [[], blocks] : [blocks, []];
      message.pieces.splice(message.results, 0, { block: toolResult(who, part, inside, toolsets.get(part.id)) });
      message.results += 1;
      message.pieces.push(...behind.map((block) => ({ block })));
    } else if (part.kind === "bytes" || part.kind === "uri") {
      message.pieces.push({ block: mediaBlock(who, part, cited) });
    } else {
      message.pieces.push({ block: { type: "text", text: wordsIn(who, part), ...cacheOf(who, part) } });
    }
  };
  return {
    add({ part, speaker, media }) {
      if (speaker === "assistant") return assistant(part);
      if (speaker === "user") return user(part, media);
      (messages.length === 0 ? leading : waiting).push({ type: "text", text: wordsIn(who, part), ...cacheOf(who, part) });
    },
    end() {
      speak();
      const own: TextBlock[] = systemText === undefined || systemText.trim() === "" ? [] : [{ type: "text", text: systemText }];
      const system = leading.length === 0 ? own[0]?.text : [...own, ...leading].filter(hasWords);
      const closed = messages.map(({ role, pieces }): Message => ({ role, content: pieces.map(blockOf).filter(hasWords) }));
      return { system: typeof system === "object" && system.length === 0 ? undefined : system, messages: closed.filter(({ content }) => content.length > 0) };
    },
  };
}

function blockOf(piece: Piece): Block {
  if ("block" in piece) return piece.block;
  const { text, citations, cache } = piece.words;
  return { type: "text", text, ...(citations.length === 0 ? {} : { citations }), ...cache };
}

/** Text without anything to read is refused by the service, and says nothing. */
function hasWords(block: Block): boolean {
  return block.type !== "text" || (typeof block.text === "string" && block.text.trim() !== "");
}

function wordsIn(who: string, part: Part): string {
  if (part.kind === "text") return part.text;
  if (part.kind === "json") return JSON.stringify(part.value);
  throw cannotTake(who, part);
}

function toolUse(who: string, part: ToolCallPart, toolset: string | undefined): ToolUseBlock {
  const { id, name } = part;
  const caller = shapeOf(shapeOf(part.metadata.anthropic)?.caller);
  const about = { ...(caller === undefined ? {} : { caller }), ...(toolset === undefined ? {} : { toolset_name: toolset }) };
  return { type: "tool_use", id, name, input: inputOf(part.arguments), ...about, ...cacheOf(who, part) };
}

/** Objects only are taken; the service's own word for arguments that are none is this key. */
function inputOf(value: JsonValue): JsonValue {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  return { INVALID_JSON: typeof value === "string" ? value : JSON.stringify(value) };
}

function toolResult(who: string, part: ToolResultPart, media: readonly (ImageBlock | DocumentBlock)[], toolset: string | undefined): ToolResultBlock {
  const words = resultText(part);
  const content = media.length === 0 ? words : [...(words.trim() === "" ? [] : [{ type: "text", text: words } as const]), ...media];
  const about = { ...(part.isError ? ({ is_error: true } as const) : {}), ...(toolset === undefined ? {} : { toolset_name: toolset }) };
  return { type: "tool_result", tool_use_id: part.id, content, ...about, ...cacheOf(who, part) };
}
