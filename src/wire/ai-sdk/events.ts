/**
 * Stream parts of an AI SDK model to parts.
 *
 * A text or a reasoning is a block with a start, deltas and an end, each of which may bring data of the provider. That of the start is
 * on every delta; that of the end, or of a block without words, is on an empty text behind it.
 * Source: `@ai-sdk/provider` 4, src/language-model/v4/language-model-v4-stream-part.ts.
 *
 * @module
 */
import { fromBase64 } from "../../core/base64.ts";
import { bytes, json, status, text, uri } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import type { JsonValue, Metadata, Part, PartOptions, Usage } from "../../core/part.ts";
import { readableParts } from "../../core/readable.ts";
import { calledTool, parsedArguments } from "../called-tool.ts";
import { itemsOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import type { AnswerReader } from "../model-turn.ts";
import { type TextJoin, textJoin } from "../text-join.ts";
import { type Answering, finishOf, usageOf } from "./ending.ts";
import { jsonObject, metadataOf, ours } from "./shapes.ts";

/** What a reader is told. */
export interface ReaderSettings extends Answering {
  /** The error in an `error` part, in our words. */
  readonly errorOf: (error: unknown) => unknown;
}

/** The parts of a stream that is on its way. One that comes when nobody waits any more is cancelled. */
export async function streamParts(opening: PromiseLike<{ readonly stream: ReadableStream<unknown> }>, signal: AbortSignal): Promise<AsyncIterable<unknown>> {
  const { stream } = await opening;
  if (signal.aborted) void stream.cancel(signal.reason).catch(() => {});
  return readableParts(stream);
}

interface Block {
  readonly options: PartOptions;
  readonly join: TextJoin;
  /** A delta was handed on: what the start brought is on it. */
  given: boolean;
}

/** Reads one streamed answer. */
export function sdkReader(settings: ReaderSettings): AnswerReader {
  const { service, errorOf } = settings;
  const blocks = new Map<string, Block>();
  const inputs = new Set<unknown>(); // tool calls that have begun
  const doubtful: Part[] = []; // of a cut answer providers end the calls as well: with what had come of them
  let steps = 0;
  let last: Shape | undefined;
  let response: Shape = {};

  const bad = (what: string): MillraceError => new MillraceError("bad_response", `${service}: ${what}`, { service });
  const blockOf = (kind: string, event: Shape): Block => {
    const key = `${kind} ${String(event.id)}`;
    const known = blocks.get(key);
    if (known !== undefined) return known;
    const metadata = metadataOf(event.providerMetadata);
    const block: Block = { options: { role: "assistant", metadata, ...(kind === "reasoning" ? { substream: "reasoning" } : {}) }, join: textJoin(), given: false };
    blocks.set(key, block);
    return block;
  };
  const delta = (kind: string, event: Shape): Part[] => {
    const { delta: words } = event;
    if (typeof words !== "string") throw bad(`${kind} that is no text`);
    const own = metadataOf(event.providerMetadata);
    const block = blockOf(kind, { id: event.id });
    const told = Object.keys(own).length > 0;
    if (words === "" && !told) return [];
    steps += 1;
    const joined = block.join.push(words);
    if (joined === "" && !told) return [];
    block.given = true;
    return [text(joined, { ...block.options, metadata: { ...block.options.metadata, ...own } })];
  };
  const endOf = (kind: string, event: Shape): Part[] => {
    const block = blockOf(kind, event);
    blocks.delete(`${kind} ${String(event.id)}`);
    const rest = block.join.rest();
    const { metadata: known = {} } = block.options;
    const metadata: Metadata = { ...known, ...metadataOf(event.providerMetadata) };
    const news = JSON.stringify(metadata) !== JSON.stringify(known) || (!block.given && Object.keys(known).length > 0);
    if (news) steps += 1;
    const parts: Part[] = rest === "" && !news ? [] : [text(rest, { ...block.options, metadata })];
    return [...parts, ...itemsOf(event.citations).map((citation) => noted({ ...shapeOf(citation), type: "citation" }))];
  };
  /** What has no kind of its own here: JSON on `sources`, the data of the provider beside it. */
  const noted = ({ providerMetadata, ...value }: Shape): Part => {
    const object = jsonObject(value);
    if (object === undefined) throw bad(`a part of type ${String(value.type).slice(0, 40)} holds what is no JSON, or a key or a depth that is refused`);
    steps += 1;
    return json(object, { role: "assistant", substream: "sources", metadata: metadataOf(providerMetadata) });
  };
  const called = (event: Shape): Part[] => {
    inputs.delete(event.toolCallId);
    if (event.providerExecuted === true) return [noted(event)];
    steps += 1;
    const { input } = event;
    const words = typeof input === "string" ? input : JSON.stringify(input ?? {});
    const part = calledTool(service, { id: event.toolCallId, name: event.toolName, arguments: words }, (raw) => ({
      ...metadataOf(event.providerMetadata),
      ...(keepsRaw(service, raw) ? { [ours]: { arguments: raw } } : {}),
    }));
    if (words.trim() !== "" && typeof part.arguments !== "string") return [part];
    doubtful.push(part);
    return [];
  };
  const fileOf = (event: Shape): Part => {
    steps += 1;
    const mediaType = wordsOf(event.mediaType)?.includes("/") === true ? String(event.mediaType) : "application/octet-stream";
    const options: PartOptions = { role: "assistant", metadata: metadataOf(event.providerMetadata), ...(event.type === "reasoning-file" ? { substream: "reasoning" } : {}) };
    const tagged = event.data instanceof Uint8Array ? undefined : shapeOf(event.data);
    const content = tagged === undefined ? event.data : (tagged.data ?? tagged.url); // v3 has it bare
    if (content instanceof Uint8Array) return bytes(content, mediaType, options);
    if (content instanceof URL) return uri(wordsOf(tagged?.originalUrl) ?? content.href, mediaType, options);
    if (typeof content !== "string") throw bad("a file without content");
    if (tagged?.type === "url") return uri(content, mediaType, options);
    return bytes(decoded(content, bad), mediaType, options);
  };
  return {
    read(value) {
      const event = shapeOf(value);
      if (event === undefined) throw bad("a stream part is no object");
      if (last !== undefined) return []; // the first end counts
      switch (event.type) {
        case "stream-start":
          return itemsOf(event.warnings).map((warning) => status(`${service}: ${warningText(shapeOf(warning) ?? {})}`, { role: "assistant" }));
        case "text-start":
        case "reasoning-start":
          blockOf(event.type.slice(0, -6), event);
          return [];
        case "text-delta":
        case "reasoning-delta":
          return delta(event.type.slice(0, -6), event);
        case "text-end":
        case "reasoning-end":
          return endOf(event.type.slice(0, -4), event);
        case "tool-input-start":
          inputs.add(event.id);
          return [];
        case "tool-input-delta":
          steps += 1;
          return [];
        case "tool-call":
          return called(event);
        case "file":
        case "reasoning-file":
          return [fileOf(event)];
        case "tool-result":
          return event.preliminary === true ? [] : [noted(event)];
        case "source":
        case "custom":
        case "tool-approval-request":
          return [noted(event)];
        case "response-metadata":
          response = { ...response, ...event };
          return [];
        case "finish":
          last = event;
          return [];
        case "error":
          throw errorOf(event.error);
        default:
          return []; // `ping`, `raw`, and what later versions bring
      }
    },
    get steps() {
      return steps;
    },
    get complete() {
      return last !== undefined;
    },
    final: false, // whoever watches the stream, a cache say, works at its end
    get usage(): Usage {
      return usageOf(last);
    },
    end() {
      if (last === undefined) return undefined;
      const finish = finishOf(last, response, settings);
      if (finish === undefined) return undefined;
      if (finish.reason === "length" && inputs.size + doubtful.length > 0) throw new MillraceError("truncated", `${service}: the answer was cut within a tool call`, { service });
      const rest = [...blocks.values()].flatMap((block): Part[] => {
        const words = block.join.rest();
        return words === "" ? [] : [text(words, block.options)];
      });
      return [...rest, ...doubtful, finish];
    },
  };
}

/** Text holds numbers that values do not. */
function keepsRaw(service: string, raw: string): boolean {
  const value: JsonValue = parsedArguments(service, raw);
  return raw.trim() !== "" && typeof value !== "string" && JSON.stringify(value) !== raw;
}

function decoded(content: string, bad: (what: string) => MillraceError): Uint8Array {
  try {
    return fromBase64(content);
  } catch {
    throw bad("a file whose content is no base64");
  }
}

function warningText(warning: Shape): string {
  const { type, feature, setting, details, message } = warning;
  const about = wordsOf(feature) ?? wordsOf(setting);
  const said = wordsOf(details) ?? wordsOf(message);
  return [type === "other" ? undefined : wordsOf(type), about, said].filter((word) => word !== undefined).join(": ").slice(0, 500);
}

