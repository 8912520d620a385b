/**
 * What goes wrong with a service of models, case by case, and what an honest client shows of it.
 *
 * The cases hold for every service: a voice makes bytes of them.
 *
 * @module
 */
import type { ErrorCode } from "../core/errors.ts";
import type { WireVoice } from "./voices/voice.ts";
import { htmlAnswer, redirectAnswer } from "./wire-answers.ts";
import type { WireAnswer } from "./wire-server.ts";

/** What a case makes its answer of. */
export interface FaultyAnswer {
  /** A whole answer. */
  readonly frames: readonly string[];
  /** How many of its frames are sent soundly. */
  readonly after: number;
  /** The address of another server. */
  readonly elsewhere: string;
}

/** What the consumer must see: an error of a code, the very reason of its own abort, or no error since it has left. */
export type FaultExpectation =
  | {
      readonly shows: "error";
      /** `interrupted` once content has come. */
      readonly code: ErrorCode;
      /** What went wrong, where `code` is `interrupted`. */
      readonly cause?: ErrorCode;
      /** Of the error that tells what went wrong. */
      readonly retryable: boolean;
      readonly status?: number;
      readonly retryAfterMs?: number;
    }
  | { readonly shows: "reason" }
  | { readonly shows: "nothing" };

/** One case. */
export interface WireFaultCase {
  /** What goes wrong, in words. */
  readonly name: string;
  /** Whether it does so before or after the first content. */
  readonly when: "before content" | "after content";
  /** What the service answers. */
  answer(voice: WireVoice, faulty: FaultyAnswer): WireAnswer;
  /** What the consumer does once all has come that will. @default it reads on */
  readonly leaves?: "abort" | "break";
  /** Whoever asked a second time would get a whole answer. */
  readonly passes?: true;
  readonly expects: FaultExpectation;
}

interface Row extends Omit<WireFaultCase, "when" | "expects"> {
  readonly when: readonly WireFaultCase["when"][];
  readonly expects: Omit<Extract<FaultExpectation, { readonly shows: "error" }>, "shows"> | "reason" | "nothing";
}

/** The answer does not end: whoever has seen enough of it must close the connection. */
const open = (voice: WireVoice, frames: readonly string[]): WireAnswer => voice.answer(frames, { fault: { kind: "stall", after: frames.length } });
const stalled: Row["answer"] = (voice, { frames, after }) => open(voice, frames.slice(0, after));

const anywhere: Row["when"] = ["before content", "after content"];
const instead: Row["when"] = ["before content"];

const rows: readonly Row[] = [
  { name: "the consumer aborts", when: anywhere, answer: stalled, leaves: "abort", expects: "reason" },
  { name: "the consumer breaks off", when: ["after content"], answer: stalled, leaves: "break", expects: "nothing" },
  { name: "the connection breaks", when: anywhere, answer: (voice, { frames, after }) => voice.answer(frames, { fault: { kind: "cut", after } }), expects: { code: "unavailable", retryable: true } },
  { name: "the stream ends between events", when: anywhere, answer: (voice, { frames, after }) => voice.answer(frames, { fault: { kind: "truncate", after } }), expects: { code: "truncated", retryable: true } },
  {
    name: "the stream ends inside an event",
    when: anywhere,
    answer: (voice, { frames, after }) => voice.answer(frames, { fault: { kind: "truncate", after, inside: true } }),
    expects: { code: "truncated", retryable: true },
  },
  { name: "nothing more comes", when: anywhere, answer: stalled, expects: { code: "timeout", retryable: true } },
  {
    name: "an event reports that the server is overloaded",
    when: anywhere,
    answer: (voice, { frames, after }) => open(voice, [...frames.slice(0, after), voice.errorFrame("overloaded", "try later")]),
    expects: { code: "unavailable", retryable: true },
  },
  {
    name: "an event reports a rate limit",
    when: anywhere,
    answer: (voice, { frames, after }) => open(voice, [...frames.slice(0, after), voice.errorFrame("rate_limited", "slow down")]),
    expects: { code: "rate_limited", retryable: true },
  },
  {
    name: "an event reports that the quota is spent",
    when: anywhere,
    answer: (voice, { frames, after }) => open(voice, [...frames.slice(0, after), voice.errorFrame("out_of_quota", "pay first")]),
    expects: { code: "rate_limited", retryable: false },
  },
  {
    name: "an event holds broken JSON",
    when: anywhere,
    answer: (voice, { frames, after }) => voice.answer([...frames.slice(0, after), voice.brokenFrame, ...frames.slice(after)]),
    expects: { code: "bad_response", retryable: true },
  },
  { name: "200 with a page", when: instead, answer: () => htmlAnswer(), expects: { code: "bad_response", retryable: true, status: 200 } },
  { name: "200 without a body", when: instead, answer: (voice) => voice.answer([]), expects: { code: "truncated", retryable: true } },
  { name: "401", when: instead, answer: (voice) => voice.refusal(401, "no such key"), expects: { code: "unauthorized", retryable: false, status: 401 } },
  {
    name: "429 with Retry-After",
    when: instead,
    answer: (voice) => voice.refusal(429, "slow down", { "retry-after": "1" }),
    expects: { code: "rate_limited", retryable: true, status: 429, retryAfterMs: 1_000 },
  },
  { name: "500", when: instead, answer: (voice) => voice.refusal(500, "it broke"), expects: { code: "unavailable", retryable: true, status: 500 } },
  { name: "503 at first, then an answer", when: instead, answer: (voice) => voice.refusal(503, "try later"), passes: true, expects: { code: "unavailable", retryable: true, status: 503 } },
  { name: "a redirect to another origin", when: instead, answer: (_, { elsewhere }) => redirectAnswer(`${elsewhere}/elsewhere`), expects: { code: "bad_response", retryable: false } },
];

function expectationOf(expects: Row["expects"], when: WireFaultCase["when"]): FaultExpectation {
  if (typeof expects === "string") return { shows: expects };
  return when === "before content" ? { shows: "error", ...expects } : { shows: "error", ...expects, code: "interrupted", cause: expects.code };
}

/**
 * Every case, those in the midst of an answer both before and after its first content.
 *
 * An honest client gives what came soundly and then shows what `expects` says; it asks once, closes the connection of an answer that
 * it leaves, and sends neither key nor prompt anywhere else. `tryFault` finds out whether a client does.
 *
 * @example
 * const credulous: WireClient = async function* (ask) {
 *   const response = await fetch(ask.url, { method: "POST", body: ask.prompt, signal: ask.signal });
 *   yield await response.text(); // whatever it is
 * };
 * const page = wireFaults.find(({ name }) => name === "200 with a page");
 * if (page !== undefined) console.log((await tryFault(page, openaiVoice, credulous)).verdict); // ends as if whole
 */
export const wireFaults: readonly WireFaultCase[] = rows.flatMap((row) => row.when.map((when): WireFaultCase => ({ ...row, when, expects: expectationOf(row.expects, when) })));
