/** What the tests of Gemini share. */
import { text } from "../../../src/core/constructors.ts";
import type { Part } from "../../../src/core/part.ts";
import { gemini, type GeminiOptions } from "../../../src/adapters/gemini/index.ts";
import type { Model } from "../../../src/kinds/model.ts";
import { type EventStyle, jsonAnswer, sseFrame } from "../../../src/testing/wire-answers.ts";
import type { WireAnswer } from "../../../src/testing/wire-server.ts";
import { answered, geminiFrames } from "./fixture.ts";

/** A key that must turn up nowhere. */
export const key = "AIzaCanary-0123456789abcdef";
/** A prompt that must turn up in no message. */
export const prompt = "What is the secret ingredient of grandmother's soup?";

/** An error as the service reports it. */
export interface GoogleError {
  readonly code?: number;
  readonly message: string;
  readonly status?: string;
  readonly details?: readonly object[];
}

export const path = "/v1/models/gemini-test:streamGenerateContent?alt=sse";
/** How many frames come before the first content. */
export const before = 1;
export const model = (baseUrl: string, options: Partial<Omit<GeminiOptions, "client">> = {}): Model => gemini({ model: "gemini-test", baseUrl, apiKey: key, ...options });
/** A whole answer as frames. */
export const frames = (deltas: readonly string[], style?: EventStyle): string[] => geminiFrames(answered(deltas), style);
/** An error within the stream. */
export const inBand = (error: GoogleError): string => sseFrame(JSON.stringify({ error }));
/** An error instead of a stream. */
export const errorAnswer = (status: number, error: GoogleError, headers: Readonly<Record<string, string>> = {}): WireAnswer => jsonAnswer({ error: { code: status, ...error } }, { status, headers });

export const quotaPerDay: object = {
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [{ quotaMetric: "generativelanguage.googleapis.com/requests", quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier" }],
};
export const retryIn = (retryDelay: string): object => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay });
export const because = (reason: string): object => ({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "googleapis.com" });

export async function* input(...parts: readonly (Part | string)[]): AsyncGenerator<Part> {
  for (const part of parts) yield typeof part === "string" ? text(part) : part;
}

export const collect = async (parts: AsyncIterable<Part>): Promise<Part[]> => {
  const all: Part[] = [];
  for await (const part of parts) all.push(part);
  return all;
};

/** What a turn gave before it failed, and the failure. */
export async function failing(parts: AsyncIterable<Part>): Promise<{ readonly parts: Part[]; readonly error: unknown }> {
  const all: Part[] = [];
  try {
    for await (const part of parts) all.push(part);
  } catch (error) {
    return { parts: all, error };
  }
  throw new Error(`nothing failed: ${all.map((part) => part.kind).join(", ")}`);
}
