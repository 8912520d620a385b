/**
 * Parts to the prompt of an AI SDK model.
 *
 * Source: `@ai-sdk/provider` 4, src/language-model/{v3,v4}/language-model-*-prompt.ts.
 *
 * @module
 */
import { derive } from "../../core/derive.ts";
import { MillraceError } from "../../core/errors.ts";
import type { BytesPart, Part, ToolResultPart, UriPart } from "../../core/part.ts";
import { parsedArguments } from "../called-tool.ts";
import { type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import { type Spoken, spokenParts, type SystemParts } from "../turn-input.ts";
import { type ProviderData, providerData, returnedTypes, type SpecificationVersion } from "./shapes.ts";

/** A piece of a message. */
export type PromptContent = { readonly type: string; readonly providerOptions?: ProviderData } & Readonly<Record<string, unknown>>;

/** One message. */
export interface PromptMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string | PromptContent[];
  readonly providerOptions?: ProviderData;
}

/** What the options decide. */
export interface PromptSettings {
  readonly who: string;
  readonly version: SpecificationVersion;
  readonly system?: string | undefined;
  readonly systemParts: SystemParts;
  /** Names under which metadata of parts is for the provider; of an assistant's parts all of it is. */
  readonly providers: ReadonlySet<string>;
}

/** The prompt of these parts; undefined when there is nothing but system text to say. */
export function toPrompt(parts: readonly Part[], settings: PromptSettings): PromptMessage[] | undefined {
  const { who, system, systemParts } = settings;
  const spoken = spokenParts(who, closed(parts).map(asReturned), systemParts, (part) => part.role === "assistant");
  const messages: PromptMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
  for (let at = 0; at < spoken.length; ) {
    const role = roleOf(spoken[at]);
    let end = at + 1;
    while (role !== "system" && end < spoken.length && roleOf(spoken[end]) === role) end += 1;
    messages.push(messageOf(role, spoken.slice(at, end), settings));
    at = end;
  }
  const said = messages.filter(({ content }) => content.length > 0);
  return said.some(({ role }) => role !== "system") ? said : undefined;
}

/** What stands behind the words of a block, on an empty text, belongs to the block: empty texts are not sent. */
function closed(parts: readonly Part[]): Part[] {
  const all: Part[] = [];
  for (const part of parts) {
    const last = all.at(-1);
    const closes = part.kind === "text" && part.text === "" && part.substream === "" && part.role === "assistant" && providerData(part.metadata) !== undefined;
    if (closes && last?.kind === "text" && last.substream === "" && last.role === "assistant") all[all.length - 1] = derive(last, { metadata: part.metadata });
    else all.push(part);
  }
  return all;
}

/** On substream `reasoning`, as whoever decides what is sent looks for it there. */
function asReturned(part: Part): Part {
  const isReturned = part.kind === "json" && part.substream === "sources" && part.role === "assistant" && returnedTypes.has(shapeOf(part.value)?.type);
  return isReturned ? derive(part, { substream: "reasoning" }) : part;
}

function roleOf(one: Spoken | undefined): PromptMessage["role"] {
  return one?.part.kind === "toolResult" ? "tool" : (one?.speaker ?? "user");
}

function messageOf(role: PromptMessage["role"], spoken: readonly Spoken[], settings: PromptSettings): PromptMessage {
  const parts = spoken.map(({ part }) => part);
  switch (role) {
    case "system": {
      const [part] = parts;
      return part === undefined ? { role, content: "" } : { role, content: wordsIn(settings.who, part), ...optionsOf(part, settings.providers) };
    }
    case "user":
      return { role, content: parts.map((part) => userContent(part, settings)) };
    case "tool":
      return { role, content: parts.flatMap((part) => (part.kind === "toolResult" ? [toolResult(part, settings)] : [])) };
    case "assistant":
      return { role, content: assistantContent(parts, settings) };
  }
}

function userContent(part: Part, { who, version, providers }: PromptSettings): PromptContent {
  if (part.kind === "bytes" || part.kind === "uri") return { ...fileOf(who, "file", part, version), ...optionsOf(part, providers) };
  return { type: "text", text: wordsIn(who, part), ...optionsOf(part, providers) };
}

function toolResult({ id, name, result, isError, metadata }: ToolResultPart, { providers }: PromptSettings): PromptContent {
  const isText = typeof result === "string";
  const type = isError ? (isText ? "error-text" : "error-json") : isText ? "text" : "json";
  return { type: "tool-result", toolCallId: id, toolName: name, output: { type, value: result }, ...optionsOf({ metadata }, providers) };
}

/** Words that are still being put together. */
interface OpenBlock {
  readonly words: "text" | "reasoning";
  text: string;
  options: ProviderData | undefined;
}

function assistantContent(parts: readonly Part[], { who, version }: PromptSettings): PromptContent[] {
  const content: (PromptContent | OpenBlock)[] = [];
  let open: OpenBlock | undefined;
  for (const part of parts) {
    const options = providerData(part.metadata);
    if (part.kind === "text") {
      const type = part.substream === "reasoning" ? "reasoning" : "text";
      const joins = open?.words === type && (part.text === "" || isWithin(open.options, options));
      if (open === undefined || !joins) content.push((open = { words: type, text: part.text, options }));
      else Object.assign(open, { text: open.text + part.text, options: options ?? open.options });
      if (part.text === "") open = undefined; // the end of a block, or one without words
      continue;
    }
    open = undefined;
    const about = options === undefined ? {} : { providerOptions: options };
    const isReasoning = part.substream === "reasoning";
    if (part.kind === "toolCall") content.push({ type: "tool-call", toolCallId: part.id, toolName: part.name, input: part.arguments, ...about });
    else if (part.kind === "json" && isReasoning) content.push(...returned(who, shapeOf(part.value) ?? {}, version).map((piece) => ({ ...piece, ...about })));
    else if (part.kind !== "bytes" && part.kind !== "uri") content.push({ type: "text", text: wordsIn(who, part), ...about });
    else if (!isReasoning) content.push({ ...fileOf(who, "file", part, version), ...about });
    else if (version === "v4") content.push({ ...fileOf(who, "reasoning-file", part, version), ...about });
  }
  return content.map((piece) => (isOpen(piece) ? { type: piece.words, text: piece.text, ...(piece.options === undefined ? {} : { providerOptions: piece.options }) } : piece));
}

/** Content has a type from the start. */
function isOpen(piece: PromptContent | OpenBlock): piece is OpenBlock {
  return !("type" in piece);
}

/** Does the block go on? Of another one its provider would have said something else. */
function isWithin(known: ProviderData | undefined, next: ProviderData | undefined): boolean {
  return Object.entries(known ?? {}).every(([name, said]) => Object.entries(said).every(([field, value]) => JSON.stringify(next?.[name]?.[field]) === JSON.stringify(value)));
}

/** A part of an answer that had no kind of its own, in the form that prompts have for it. */
function returned(who: string, value: Shape, version: SpecificationVersion): PromptContent[] {
  const { type, toolCallId, toolName, input, result, isError, kind } = value;
  switch (type) {
    case "tool-call":
      return [{ type, toolCallId, toolName, input: typeof input === "string" ? parsedArguments(who, input) : input, providerExecuted: true }];
    case "tool-result":
      return [{ type, toolCallId, toolName, output: value.output ?? { type: isError === true ? "error-json" : "json", value: result } }];
    default:
      return version === "v3" ? [] : [{ type: "custom", kind }];
  }
}

function optionsOf(part: Pick<Part, "metadata">, providers: ReadonlySet<string>): { readonly providerOptions?: ProviderData } {
  const providerOptions = providerData(part.metadata, providers);
  return providerOptions === undefined ? {} : { providerOptions };
}

function wordsIn(who: string, part: Part): string {
  if (part.kind === "text") return part.text;
  if (part.kind === "json") return JSON.stringify(part.value);
  throw cannotTake(who, part, "");
}

function fileOf(who: string, type: string, part: BytesPart | UriPart, version: SpecificationVersion): PromptContent {
  const filename = wordsOf(shapeOf(part.metadata.file)?.name);
  const data = dataOf(who, part);
  const tagged = data instanceof URL ? { type: "url", url: data } : { type: "data", data };
  const name = filename === undefined || type !== "file" ? {} : { filename };
  return { type, mediaType: part.mimeType, data: version === "v3" ? data : tagged, ...name };
}

function dataOf(who: string, part: BytesPart | UriPart): Uint8Array | string | URL {
  if (part.kind === "bytes") return part.bytes;
  const inline = /^data:[^,]*;base64,(.*)$/is.exec(part.uri)?.[1];
  if (inline !== undefined) return inline;
  if (!URL.canParse(part.uri)) throw cannotTake(who, part, ": the address is no URL; load its content first");
  return new URL(part.uri);
}

function cannotTake(who: string, part: Part, hint: string): MillraceError {
  return new MillraceError("invalid_input", `${who}: cannot take a ${part.kind} part of type ${part.mimeType.slice(0, 100)}, role ${part.role}${hint}`, { service: who });
}

/** Refuses addresses that the model does not fetch itself: its provider would say so less plainly, or fetch them for us. */
export function checkAddresses(who: string, messages: readonly PromptMessage[], supported: Readonly<Record<string, readonly RegExp[]>>): void {
  for (const { content } of messages) {
    for (const piece of typeof content === "string" ? [] : content) {
      const data = piece.data instanceof URL ? piece.data : shapeOf(piece.data)?.url;
      if (!(data instanceof URL)) continue;
      const mediaType = String(piece.mediaType).toLowerCase();
      const isTaken = Object.entries(supported).some(([pattern, addresses]) => {
        const prefix = pattern === "*" || pattern === "*/*" ? "" : pattern.toLowerCase().replace(/\*.*$/, "");
        return mediaType.startsWith(prefix) && addresses.some((address) => new RegExp(address).test(data.href.toLowerCase())); // theirs may know where it was
      });
      if (isTaken) continue;
      throw new MillraceError("invalid_input", `${who}: the model fetches no ${data.protocol} address of type ${mediaType.slice(0, 100)} itself; load its content first`, { service: who });
    }
  }
}
