/**
 * The stream parts of an answer as one whole answer.
 *
 * @module
 */
import type { ContentPart, FinishShape, ProviderData, StreamPart, UsageShape, WarningShape } from "./shapes.ts";

/** Words, whole. */
export interface WordsPart {
  readonly type: "text" | "reasoning";
  text: string;
  providerMetadata?: ProviderData;
}

/** What `doGenerate` gives. */
export interface WholeAnswer {
  readonly content: (WordsPart | ContentPart)[];
  readonly finishReason: FinishShape;
  readonly usage: UsageShape;
  readonly providerMetadata?: ProviderData;
  readonly response: { readonly id?: string; readonly timestamp?: Date; readonly modelId?: string };
  readonly warnings: WarningShape[];
}

/** Puts an answer together; undefined without its `finish`. Of what is said of deltas the last word on a provider counts. */
export function wholeAnswer(parts: readonly StreamPart[]): WholeAnswer | undefined {
  const content: WholeAnswer["content"] = [];
  const open = new Map<string, WordsPart>();
  let response: WholeAnswer["response"] = {};
  let warnings: WarningShape[] = [];
  for (const part of parts) {
    switch (part.type) {
      case "stream-start":
        ({ warnings } = part);
        break;
      case "response-metadata": {
        const { type: _, ...about } = part;
        response = about;
        break;
      }
      case "text-start":
      case "reasoning-start": {
        const words: WordsPart = { type: part.type === "text-start" ? "text" : "reasoning", text: "" };
        open.set(part.id, words);
        content.push(words);
        break;
      }
      case "text-delta":
      case "reasoning-delta": {
        const words = open.get(part.id);
        if (words === undefined) break;
        words.text += part.delta;
        if (part.providerMetadata !== undefined) words.providerMetadata = { ...words.providerMetadata, ...part.providerMetadata };
        break;
      }
      case "text-end":
      case "reasoning-end":
      case "error":
        break;
      case "finish": {
        const { type: _, ...ending } = part;
        return { content, response, warnings, ...ending };
      }
      default:
        content.push(part);
    }
  }
  return undefined;
}
