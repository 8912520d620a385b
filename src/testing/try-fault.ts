/**
 * Lets a client meet a case of `wireFaults` on loopback, and judges what it shows.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { type CodeOf, type FaultEnd, type FaultFinding, findingsOfEnd } from "./fault-findings.ts";
import { apiKey, meet, prompt, type WireClient } from "./fault-meeting.ts";
import type { WireVoice } from "./voices/voice.ts";
import type { WireFaultCase } from "./wire-faults.ts";
import { type WireRequest, wireServer } from "./wire-server.ts";

/** What a client showed. */
export interface FaultOutcome {
  /** `"right"`, or the findings in a row. */
  readonly verdict: string;
  /** All that is wrong. */
  readonly findings: readonly FaultFinding[];
  /** What it gave before it ended. */
  readonly texts: readonly string[];
  readonly end: FaultEnd;
  /** Milliseconds from leaving an unfinished answer to the service seeing the connection close, as measured. */
  readonly closedMs?: number;
}

/** How to try, and how to judge. */
export interface TryFaultOptions {
  /** Milliseconds after which what has not happened does not happen. @default 20000 */
  readonly patienceMs?: number;
  /** Milliseconds between all that will come having been sent and the consumer's abort: time for a client to take in what is no content. @default 0 */
  readonly settleMs?: number;
  /** Tells the code of errors that are no `MillraceError`. @default it cannot be told */
  readonly codeOf?: CodeOf;
  /** Rules both, and measures. @default the system's */
  readonly clock?: Clock;
}

const said: readonly string[] = ["Mince ", "the ", "garlic 👩‍🍳."];

/**
 * Starts a service that fails as the case says, lets the client ask it, and judges.
 *
 * Throws: nothing that the client throws; that is in `end`.
 * Closes: the service and every connection to it. A client that hangs is aborted and left.
 *
 * @example
 * const client: WireClient = (ask) => {
 *   const model = openaiChat({ model: "m", baseUrl: ask.url, apiKey: ask.apiKey, clock: ask.clock });
 *   return run(model, ask.prompt, { signal: ask.signal });
 * };
 * const wrong: string[] = [];
 * for (const fault of wireFaults) {
 *   const { verdict } = await tryFault(fault, openaiChatVoice, client);
 *   if (verdict !== "right") wrong.push(`${fault.name}, ${fault.when}: ${verdict}`);
 * }
 * console.log(wrong.length); // 0
 */
export async function tryFault(fault: WireFaultCase, voice: WireVoice, client: WireClient, options: TryFaultOptions = {}): Promise<FaultOutcome> {
  const { patienceMs = 20_000, settleMs = 0, codeOf = () => undefined, clock = systemClock } = options;
  const happens = (promise: Promise<unknown>): Promise<boolean> => inTime(clock, patienceMs, promise);
  const frames = voice.frames(said);
  const sound = fault.when === "before content" ? [] : said.slice(0, 2);
  const elsewhere = await wireServer({ answer: voice.answer(frames) });
  const answer = fault.answer(voice, { frames, after: voice.framesBefore + sound.length, elsewhere: elsewhere.url });
  const server = await wireServer({ answer: fault.passes === true ? voice.answer(frames) : answer });
  server.script(answer);
  try {
    const { texts, end, reason, leftMs } = await meet({ fault, client, server, sound: sound.join(""), settleMs, clock, happens });
    const mustClose = answer.fault?.kind === "stall" && end.how !== "hangs";
    const closedMs = mustClose && (await happens(Promise.all(server.requests.map(({ closed }) => closed)))) ? clock.now() - leftMs : undefined;
    const findings: FaultFinding[] = [
      ...findingsOfEnd(fault, end, reason, codeOf),
      ...(texts.join("").startsWith(sound.join("")) ? [] : ["loses content" as const]),
      ...(mustClose && closedMs === undefined ? ["socket stays open" as const] : []),
      ...(server.requests.length > 1 ? [`asks ${server.requests.length} times` as const] : []),
      ...leaks(elsewhere.requests),
      ...(end.how === "threw" && (await shown(end.error)).includes(apiKey) ? ["shows the key" as const] : []),
    ];
    return { verdict: findings.length === 0 ? "right" : findings.join(", "), findings, texts, end, ...(closedMs === undefined ? {} : { closedMs }) };
  } finally {
    await server.close();
    await elsewhere.close();
  }
}

/** Whether it comes to pass in that time. */
async function inTime(clock: Clock, ms: number, promise: Promise<unknown>): Promise<boolean> {
  let cancel = (): void => {};
  const late = new Promise<false>((resolve) => (cancel = clock.timeout(ms, () => resolve(false))));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    cancel();
  }
}

function leaks(requests: readonly WireRequest[]): FaultFinding[] {
  const sent = requests.flatMap(({ path, headers }) => [path, ...Object.values(headers)]);
  return [...(sent.some((value) => value.includes(apiKey)) ? ["key leaves" as const] : []), ...(requests.some(({ body }) => body.includes(prompt)) ? ["prompt leaves" as const] : [])];
}

/** Everything that an error shows to whoever looks. */
async function shown(error: unknown): Promise<string> {
  const { inspect } = await import("node:util");
  return `${String(error)}\n${inspect(error, { depth: 10, showHidden: true })}`;
}
