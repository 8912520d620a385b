/** What the tests of the adapter share. */
import { anthropic, type AnthropicOptions } from "../../../src/adapters/anthropic/index.ts";
import { text } from "../../../src/core/constructors.ts";
import type { Part } from "../../../src/core/part.ts";
import type { Context } from "../../../src/core/processor.ts";
import type { Model } from "../../../src/kinds/model.ts";
import { type EventStyle, sseFrame } from "../../../src/testing/wire-answers.ts";
import { answered } from "./messages-fixture.ts";

/** A key that must turn up nowhere. */
export const key = "sk-ant-canary-0123456789abcdef";
/** A prompt that must turn up in no message. */
export const prompt = "What is the secret ingredient of grandmother's soup?";

export const modelAt = (baseUrl: string, options: Partial<AnthropicOptions> = {}): Model => anthropic({ model: "claude-test", baseUrl, apiKey: key, ...options });

/** Events, each under the name of its type. */
export const framesOf = (events: readonly { readonly type: string }[], style: EventStyle = {}): string[] =>
  events.map((event, index) => `${style.byteOrderMark === true && index === 0 ? "\ufeff" : ""}${sseFrame(JSON.stringify(event), event.type, style)}`);

/** A whole answer as frames, of which the first three are before the first content. */
export const frames = (deltas: readonly string[], style?: EventStyle): string[] => framesOf(answered(deltas), style);
export const before = 3;

/** An error within the stream. */
export const inBand = (type: string, message: string, details?: object): string =>
  framesOf([{ type: "error", error: { type, message, ...(details === undefined ? {} : { details }) }, request_id: "req_9" } as { type: string }])[0] ?? "";

export async function* input(...parts: readonly (Part | string)[]): AsyncGenerator<Part> {
  for (const part of parts) yield typeof part === "string" ? text(part) : part;
}

/** A context as a run gives it. */
export const contextOf = (signal: AbortSignal): Context => ({ signal, correlationId: "c", runId: "r", state: new Map(), waitUntil: () => {} });

/** What a turn gave, and how it failed if it did. */
export async function outcomeOf(parts: AsyncIterable<Part>): Promise<{ readonly parts: Part[]; readonly error: unknown }> {
  const all: Part[] = [];
  try {
    for await (const part of parts) all.push(part);
  } catch (error) {
    return { parts: all, error };
  }
  return { parts: all, error: undefined };
}

/** The parts of a turn that does not fail. */
export async function collect(parts: AsyncIterable<Part>): Promise<Part[]> {
  const { parts: all, error } = await outcomeOf(parts);
  if (error !== undefined) throw error;
  return all;
}

/** What a turn gave before it failed, and the failure. */
export async function failing(parts: AsyncIterable<Part>): Promise<{ readonly parts: Part[]; readonly error: unknown }> {
  const outcome = await outcomeOf(parts);
  if (outcome.error === undefined) throw new Error(`nothing failed: ${outcome.parts.map((part) => part.kind).join(", ")}`);
  return outcome;
}
