/**
 * What a service of models says on the wire, as a test needs to say it: whole answers, errors inside and instead of them.
 *
 * @module
 */
import type { JsonValue } from "../../core/part.ts";
import type { EventStyle } from "../wire-answers.ts";
import type { WireAnswer } from "../wire-server.ts";

/** A tool call in an answer. */
export interface WireCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: Readonly<Record<string, JsonValue>>;
}

/**
 * What a service reports in the middle of an answer. `"overloaded"`: it may be asked again; `"rate_limited"`: later;
 * `"out_of_quota"`: not before somebody pays.
 */
export type WireTrouble = "overloaded" | "rate_limited" | "out_of_quota";

/**
 * A service as it speaks.
 *
 * @example
 * await using server = await wireServer({ answer: geminiVoice.answer(geminiVoice.frames(["Hello ", "world"])) });
 * console.log(await run(gemini({ model: "m", baseUrl: server.url, apiKey: "key-of-the-test" }), "Hi").text()); // Hello world
 */
export interface WireVoice {
  readonly name: string;
  /** A whole answer, an event or a line each: texts and tool calls in this order, what comes before and after them, the end. */
  frames(said: readonly (string | WireCall)[], style?: EventStyle): string[];
  /** How many of the frames come before what is said first; texts that follow each other are one frame each. */
  readonly framesBefore: number;
  /** The frames as an answer, under the content type that the service gives it. */
  answer(frames: readonly (string | Uint8Array)[], more?: Omit<WireAnswer, "frames">): WireAnswer;
  /** A frame that reports an error. */
  errorFrame(trouble: WireTrouble, message: string): string;
  /** A frame that breaks off inside its JSON, though its event or line is whole. */
  readonly brokenFrame: string;
  /** A frame without content, as keeps a connection alive. */
  readonly ping: string;
  /** An error instead of an answer. */
  refusal(status: number, message: string, headers?: Readonly<Record<string, string>>): WireAnswer;
}
