/**
 * A client and a service that fails: what the one asks, what the other gives, and when the consumer leaves.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import type { Part } from "../core/part.ts";
import { type FakeClock, fakeClock } from "./clock.ts";
import type { FaultEnd } from "./fault-findings.ts";
import type { WireFaultCase } from "./wire-faults.ts";
import type { WireRequest, WireServer } from "./wire-server.ts";

/** What a client is to ask, once. */
export interface WireAsk {
  /** The service, without a path. */
  readonly url: string;
  /** A key that must turn up nowhere else. */
  readonly apiKey: string;
  readonly prompt: string;
  readonly signal: AbortSignal;
  /** Stands still, and goes on by minutes once nothing more comes. A client that takes no clock has `patienceMs` to give up. */
  readonly clock: FakeClock;
}

/** A client: asks when it is first pulled, and gives what the model says as it comes, as texts or as parts. */
export type WireClient = (ask: WireAsk) => AsyncIterable<string | Part>;

/** What must turn up nowhere but in the one request. */
export const apiKey = "sk-canary-0123456789abcdef";
export const prompt = "What is the secret ingredient of grandmother's soup?";

/** What came of it. */
export interface Meeting {
  readonly texts: readonly string[];
  readonly end: FaultEnd;
  /** What an abort was given. */
  readonly reason: unknown;
  /** When the answer was left, or the client ended. */
  readonly leftMs: number;
}

/** Clocks of clients run for five minutes at most; a client that arms one after the other needs several. */
const stepMs = 600_000;
const steps = 8;

/** Who meets what. */
export interface Encounter {
  readonly fault: WireFaultCase;
  readonly client: WireClient;
  readonly server: WireServer;
  /** What comes before the fault. */
  readonly sound: string;
  readonly settleMs: number;
  readonly clock: Clock;
  /** Whether it comes to pass before patience is over. */
  happens(promise: Promise<unknown>): Promise<boolean>;
}

/** Lets the client ask, leaves it when the case says so, and waits for its end. */
export async function meet({ fault, client, server, sound, settleMs, clock, happens }: Encounter): Promise<Meeting> {
  const controller = new AbortController();
  const reason = new Error("the consumer has had enough");
  const itsClock = fakeClock();
  const texts: string[] = [];
  const arrived = Promise.withResolvers<void>();
  let leftMs: number | undefined;
  if (sound === "") arrived.resolve();

  const read = async (): Promise<void> => {
    for await (const item of client({ url: server.url, apiKey, prompt, signal: controller.signal, clock: itsClock })) {
      const text = typeof item === "string" ? item : item.kind === "text" && item.substream === "" ? item.text : "";
      if (text !== "") texts.push(text);
      if (texts.join("").length < sound.length) continue;
      arrived.resolve();
      if (fault.leaves !== "break") continue;
      leftMs = clock.now();
      break;
    }
  };
  let isOver = false;
  const goOn = async (request: Promise<WireRequest>): Promise<void> => {
    await (await request).answered;
    await arrived.promise;
    if (fault.leaves === "abort" && settleMs > 0) await clock.sleep(settleMs);
    if (fault.leaves === "abort" && !isOver) {
      leftMs = clock.now();
      controller.abort(reason);
    }
    // an answer that fails by itself needs no time
    const waits = fault.expects.shows === "error" && (fault.expects.cause ?? fault.expects.code) === "timeout";
    for (let step = 0; waits && !isOver && step < steps; step += 1) await itsClock.advance(stepMs);
  };
  void goOn(server.nextRequest()).catch(() => {}); // what a clock sets off fails where it was set
  const over = read().then(
    (): FaultEnd => ({ how: "ended" }),
    (error: unknown): FaultEnd => ({ how: "threw", error }),
  );
  const end: FaultEnd = (await happens(over)) ? await over : { how: "hangs" };
  isOver = true;
  leftMs ??= clock.now();
  if (end.how === "hangs") controller.abort(reason);
  return { texts, end, reason, leftMs };
}
