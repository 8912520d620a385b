/**
 * The states of a circuit breaker, without clock, chance or streams: all of them are handed in.
 *
 * @module
 */
import { BreakerWindow } from "./breaker-window.ts";

/** Closed lets calls through, open refuses them, half-open tries a few. */
export type CircuitState = "closed" | "open" | "half-open";

/** When it opens, and for how long. */
export interface BreakerRules {
  /** Opens at this share of failures, from 0 to 1, … */
  readonly failureRate: number;
  /** … among at least so many calls … */
  readonly minCalls: number;
  /** … of the last while. */
  readonly windowMs: number;
  /** Opens after so many failures in a row, instead of by the rate. */
  readonly failureThreshold: number | undefined;
  /** How long it stays open the first time; twice as long each time that a probe fails, … */
  readonly openMs: number;
  /** … but never longer than this. */
  readonly maxOpenMs: number;
  /** Probes at once; so many must succeed for it to close. */
  readonly halfOpenCalls: number;
}

/** What a call was: `neither` says nothing of the service. */
export type CallResult = "success" | "failure" | "neither";

/** The answer to a call that wants to pass: it passes as one of a generation, or comes back later. */
export type Ask = { readonly passes: true; readonly generation: number } | { readonly passes: false; readonly retryAfterMs: number };

/** Told of each change. */
export type Changed = (from: CircuitState, to: CircuitState) => void;

/** A call that finds all probes under way is asked to come back after this: nobody knows when one of them ends. */
const probesBusyMs = 1_000;

/** One circuit. Times are those of one monotonic clock. */
export class BreakerState {
  state: CircuitState = "closed";
  /** Until when it is open. */
  untilMs = 0;
  private readonly rules: BreakerRules;
  private readonly changed: Changed;
  private readonly window: BreakerWindow;
  /** Results belong to the state in which their call began: each change of state begins a new generation. */
  private generation = 0;
  private failuresInARow = 0;
  /** Times it has opened since it was closed. */
  private openings = 0;
  private probes = 0;
  private successes = 0;

  constructor(rules: BreakerRules, changed: Changed) {
    this.rules = rules;
    this.changed = changed;
    this.window = new BreakerWindow(rules.windowMs);
  }

  counts(nowMs: number): { readonly calls: number; readonly failures: number } {
    return this.window.counts(nowMs);
  }

  /** A call wants to pass. */
  ask(nowMs: number): Ask {
    const { halfOpenCalls, openMs } = this.rules;
    if (this.state === "open") {
      if (nowMs < this.untilMs) return { passes: false, retryAfterMs: this.untilMs - nowMs };
      this.turn("half-open");
    }
    if (this.state === "half-open") {
      if (this.probes + this.successes >= halfOpenCalls) return { passes: false, retryAfterMs: Math.min(openMs, probesBusyMs) };
      this.probes += 1;
    }
    return { passes: true, generation: this.generation };
  }

  /** A call that passed is over. `chance` is a random number from 0 to 1. */
  settle(generation: number, result: CallResult, nowMs: number, chance: number): void {
    if (generation !== this.generation) return;
    if (this.state === "half-open") {
      this.probes -= 1;
      if (result === "failure") this.open(nowMs, chance);
      else if (result === "success") {
        this.successes += 1;
        if (this.successes === this.rules.halfOpenCalls) this.close();
      }
    } else if (result !== "neither") {
      this.window.add(result === "failure", nowMs);
      this.failuresInARow = result === "failure" ? this.failuresInARow + 1 : 0;
      if (this.isTooMuch(nowMs)) this.open(nowMs, chance);
    }
  }

  /** Somebody else found the service down and keeps away from it for so long. True if that opens it here. */
  heed(remainingMs: number, nowMs: number): boolean {
    if (this.state !== "closed" || remainingMs <= 0) return false;
    this.openings = 1;
    this.untilMs = nowMs + Math.min(remainingMs, this.rules.maxOpenMs);
    this.turn("open");
    return true;
  }

  private isTooMuch(nowMs: number): boolean {
    const { failureRate, minCalls, failureThreshold } = this.rules;
    if (failureThreshold !== undefined) return this.failuresInARow >= failureThreshold;
    const { calls, failures } = this.window.counts(nowMs);
    return calls >= minCalls && failures / calls >= failureRate;
  }

  private open(nowMs: number, chance: number): void {
    const { openMs, maxOpenMs } = this.rules;
    this.openings += 1;
    // 20 % either way, so that those who opened together do not probe together
    this.untilMs = nowMs + Math.min(maxOpenMs, openMs * 2 ** (this.openings - 1) * (0.8 + 0.4 * chance));
    this.turn("open");
  }

  private close(): void {
    this.openings = 0;
    this.turn("closed");
  }

  private turn(to: CircuitState): void {
    const from = this.state;
    this.state = to;
    this.generation += 1;
    this.probes = this.successes = this.failuresInARow = 0;
    this.window.clear();
    this.changed(from, to);
  }
}
