/** Streams of `streamGenerateContent` as the service sends them, held against the client's own types. */
import { type Candidate, FinishReason, type GenerateContentResponse, type GenerateContentResponseUsageMetadata, Language, Outcome, type Part } from "@google/genai";
import { type EventStyle, sseFrame } from "../../../src/testing/wire-answers.ts";

/** What of the client's class is sent. */
export type Chunk = Partial<Pick<GenerateContentResponse, "candidates" | "promptFeedback" | "usageMetadata" | "modelVersion" | "responseId">>;

export const usage: GenerateContentResponseUsageMetadata = {
  promptTokenCount: 10,
  toolUsePromptTokenCount: 2,
  cachedContentTokenCount: 4,
  candidatesTokenCount: 4,
  thoughtsTokenCount: 3,
  totalTokenCount: 19,
};

const about = { modelVersion: "gemini-test-2026", responseId: "resp-1" } satisfies Chunk;

/** A chunk of parts. */
export const chunk = (parts: readonly Part[], candidate: Partial<Candidate> = {}, more: Chunk = {}): Chunk => ({
  candidates: [{ content: { role: "model", parts: [...parts] }, index: 0, ...candidate }],
  ...about,
  ...more,
});

/** The chunk that ends an answer. */
export const ending = (finishReason: FinishReason = FinishReason.STOP, candidate: Partial<Candidate> = {}): Chunk => chunk([{ text: "" }], { finishReason, ...candidate }, { usageMetadata: usage });

/** A chunk without any content, which comes first at times. */
export const opening: Chunk = { ...about, usageMetadata: { promptTokenCount: 10, totalTokenCount: 10 } };

/** A whole answer of text. */
export const answered = (deltas: readonly string[]): Chunk[] => [opening, ...deltas.map((text) => chunk([{ text }])), ending()];

/** The chunks as events. */
export function geminiFrames(chunks: readonly object[], style: EventStyle = {}): string[] {
  const frames = chunks.map((one) => sseFrame(JSON.stringify(one), undefined, style));
  return frames.map((frame, index) => (style.byteOrderMark === true && index === 0 ? `\ufeff${frame}` : frame));
}

/** An answer with everything in it: a thought, signatures on several kinds of parts, code that was run, an image, a call, grounding. */
export const rich: readonly Chunk[] = [
  opening,
  chunk([{ text: "Let me ", thought: true }]),
  chunk([{ text: "see 東京.", thought: true }, { text: "Grüße ", thoughtSignature: "c2lnLXRleHQ=" }]),
  chunk([{ text: "👩‍👩‍👧‍👦 " }, { text: "und mehr.\r\n\u2028" }]),
  chunk([
    { executableCode: { language: Language.PYTHON, code: 'print("é")' }, thoughtSignature: "c2lnLWNvZGU=" },
    { codeExecutionResult: { outcome: Outcome.OUTCOME_OK, output: "é\n" } },
  ]),
  chunk([{ inlineData: { mimeType: "image/png", data: "iVBORw==" }, thoughtSignature: "c2lnLWltYWdl" }]),
  chunk([{ functionCall: { id: "fc-1", name: "weather", args: { city: "Zürich \"quoted\" {", list: [1, { a: null }] } }, thoughtSignature: "c2lnLWNhbGw=" }, { functionCall: { name: "now", args: {} } }]),
  chunk([{ text: "", thoughtSignature: "c2lnLWVuZA==" }], {
    groundingMetadata: { webSearchQueries: ["zürich"], groundingChunks: [{ web: { uri: "https://example.com/a", title: "A" } }] },
    citationMetadata: {},
  }),
  ending(),
];
