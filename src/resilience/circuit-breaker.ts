/**
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { type ErrorCode, invalidOption, isMillraceError, MillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import { guarded } from "../core/guarded.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { type KeyValueStore, requireMarkStore } from "../kinds/key-value.ts";
import { refuseBeside } from "./admission/beside.ts";
import { Admitted, type Door, type Ending, type Permit, type Waiting } from "./admission/door.ts";
import { BreakerHints, hintWaitMs } from "./admission/breaker-hints.ts";
import { BreakerState, type CallResult, type CircuitState } from "./admission/breaker-state.ts";
export type { CircuitState } from "./admission/breaker-state.ts";

/** A change of a circuit. */
export interface CircuitEvent {
  readonly name: string;
  readonly from: CircuitState;
  readonly to: CircuitState;
  /** For how long it is open, when it has opened. */
  readonly openMs?: number;
}

/** When a circuit opens, and how it closes. */
export interface CircuitOptions {
  /** Stands in errors and events; with a store, circuits of one name are one. @default "circuit" */
  readonly name?: string;
  /** Opens when this share of calls fails, above 0 and up to 1. @default 0.5 */
  readonly failureRate?: number;
  /** Fewer calls than this in the window open nothing. @default 20 */
  readonly minCalls?: number;
  /** Milliseconds of calls that count. @default 30_000 */
  readonly windowMs?: number;
  /** Opens after so many failures in a row, instead of by rate, number and window. */
  readonly failureThreshold?: number;
  /** Milliseconds that it stays open, give or take a fifth; doubled each time a probe fails. @default 15_000 */
  readonly openMs?: number;
  /** @default 120_000, or `openMs` if that is more */
  readonly maxOpenMs?: number;
  /** Probes at once, all of which must succeed. @default 3 */
  readonly halfOpenCalls?: number;
  /** Is this error a failure of the service? @default `unavailable`, `timeout`, `truncated`, `bad_response` and `interrupted` are */
  readonly isFailure?: (error: unknown) => boolean;
  /** Tells circuits of this name in other processes when it opens, and hears of theirs. */
  readonly store?: KeyValueStore;
  /** Hears of every change; what it throws is dropped. */
  readonly onStateChange?: (event: CircuitEvent) => void;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** A number from 0 to 1. @default Math.random */
  readonly random?: () => number;
}

/** A circuit that several processors share, and its state. */
export interface Circuit {
  readonly name: string;
  /** An open circuit whose time is over is `open` until the next call. */
  readonly state: CircuitState;
  /** Calls and failures that count at the moment. */
  readonly counts: { readonly calls: number; readonly failures: number };
}

/** Of `circuitBreaker`: a circuit of its own, or one that is shared. */
export type CircuitBreakerOptions = CircuitOptions | { readonly circuit: Circuit };

/** What the service itself is to blame for. */
const failures: readonly ErrorCode[] = ["unavailable", "timeout", "truncated", "bad_response", "interrupted"];

/**
 * Keeps away from a service that fails: refuses calls at once for a while, then tries a few before it lets all through.
 *
 * A call is one run of the stream. It succeeds with the end of the stream, or once its finish part has come; leaving, an abort,
 * an error of the input and errors that are not the service's fault (such as `rate_limited` and `invalid_input`) count as
 * neither. Streams under way are not cut when the circuit opens, and their results no longer count.
 *
 * Throws: `circuit_open` with `retryAfterMs`, before the processor and its input are touched.
 *
 * @example
 * const careful = circuitBreaker(each(async (part) => part), { name: "model", failureThreshold: 5, openMs: 60_000 });
 * console.log(await run(careful, "hello").text()); // hello
 */
export function circuitBreaker(processor: Processor, options: CircuitBreakerOptions = {}): Processor {
  requireProcessors("circuitBreaker", [processor]);
  const door = "circuit" in options ? requireCircuit(options) : new Breaker(options);
  return processorOf([{ kind: "flow", name: "circuitBreaker", open: (upstream, scope) => new Admitted(door, processor, upstream, scope) }]);
}

function requireCircuit(options: { readonly circuit: unknown }): Breaker {
  if (!(options.circuit instanceof Breaker)) throw invalidOption("circuitBreaker", "circuit", "a circuit that circuit() made", options.circuit);
  refuseBeside("circuitBreaker", "circuit", options);
  return options.circuit;
}

/**
 * Makes a circuit for several processors that call one service, or to look at its state.
 *
 * Throws: `invalid_input` for options out of range; `missing_config` for a store without a name.
 *
 * @example
 * const shared = circuit({ name: "model" });
 * const [chat, title] = [circuitBreaker(pipe(), { circuit: shared }), circuitBreaker(pipe(), { circuit: shared })];
 * console.log(await run(pipe(chat, title), "hello").text(), shared.state); // hello closed
 */
export function circuit(options: CircuitOptions = {}): Circuit {
  return new Breaker(options);
}

class Breaker implements Circuit, Door {
  readonly name: string;
  private readonly circuit: BreakerState;
  private readonly hints: BreakerHints | undefined;
  private readonly options: CircuitOptions;
  private readonly clock: Clock;
  private readonly random: () => number;
  /** Having found the service well, it does not listen to others for a while. */
  private deafUntilMs = -Infinity;
  private lastFailure: unknown = undefined;

  constructor(options: CircuitOptions) {
    const { name = "circuit", clock = systemClock, random = Math.random, store } = options;
    if (typeof name !== "string" || !/^[\w.:/-]{1,200}$/.test(name)) throw invalidOption("circuitBreaker", "name", "1 to 200 letters, digits, '.', '_', ':', '/' and '-'", name);
    if (store !== undefined) {
      requireMarkStore("circuitBreaker", store);
      if (options.name === undefined) throw new MillraceError("missing_config", "circuitBreaker: a store needs a name, which circuits in other processes share");
      this.hints = new BreakerHints(store, `millrace:circuit:${name}`, clock, (remainingMs) => this.heed(remainingMs));
    }
    this.name = name;
    this.options = options;
    this.clock = clock;
    this.random = random;
    this.circuit = new BreakerState(rulesOf(options), (from, to) => this.changed(from, to));
  }

  get state(): CircuitState {
    return this.circuit.state;
  }

  get counts(): { readonly calls: number; readonly failures: number } {
    return this.circuit.counts(this.clock.now());
  }

  enter(): Permit | Waiting {
    const answer = this.circuit.state === "closed" ? this.hints?.ask() : undefined;
    return answer === undefined ? this.admit() : this.admitAfter(answer);
  }

  /** Waits for the store, a moment at most. */
  private admitAfter(answer: Promise<void>): Waiting {
    const { promise, resolve, reject } = Promise.withResolvers<Permit>();
    let over = false;
    const leave = (): void => {
      over = true;
      cancel();
    };
    const decide = (): void => {
      if (over) return;
      leave();
      try {
        resolve(this.admit());
      } catch (error) {
        reject(error);
      }
    };
    const cancel = this.clock.timeout(hintWaitMs, decide);
    void answer.then(decide);
    return { permit: promise, leave };
  }

  private admit(): Permit {
    const asked = this.circuit.ask(this.clock.now());
    if (asked.passes) return { release: (ending) => this.settle(asked.generation, this.resultOf(ending)) };
    const { retryAfterMs } = asked;
    const why = this.circuit.state === "open" ? "is open" : "has its probes under way";
    throw new MillraceError("circuit_open", `circuitBreaker: ${this.name} ${why}, come back in ${Math.ceil(retryAfterMs)} ms`, {
      retryAfterMs,
      ...(this.lastFailure === undefined ? {} : { cause: this.lastFailure }),
    });
  }

  private settle(generation: number, result: CallResult): void {
    const before = this.circuit.state;
    this.circuit.settle(generation, result, this.clock.now(), this.random());
    // only what was found out here: a hint is not handed on
    if (before !== "open" && this.circuit.state === "open") this.hints?.tell(this.circuit.untilMs - this.clock.now());
  }

  private resultOf(ending: Ending): CallResult {
    if (ending.kind === "complete") return "success";
    if (ending.kind !== "failed" || !this.isFailure(ending.error)) return "neither";
    this.lastFailure = ending.error;
    return "failure";
  }

  private isFailure(error: unknown): boolean {
    try {
      if (this.options.isFailure !== undefined) return this.options.isFailure(error);
    } catch {
      // what it throws must not take the place of the error that it was asked about
    }
    return isMillraceError(error) && failures.includes(error.code);
  }

  private heed(remainingMs: number): void {
    const nowMs = this.clock.now();
    if (nowMs >= this.deafUntilMs && this.circuit.heed(remainingMs, nowMs)) this.lastFailure = undefined; // it is not why
  }

  private changed(from: CircuitState, to: CircuitState): void {
    const { name, clock, options } = this;
    if (to === "closed") this.deafUntilMs = clock.now() + (options.openMs ?? defaultOpenMs);
    guarded(() => options.onStateChange?.({ name, from, to, ...(to === "open" ? { openMs: this.circuit.untilMs - clock.now() } : {}) }));
  }
}

const defaultOpenMs = 15_000;

function rulesOf(options: CircuitOptions): ConstructorParameters<typeof BreakerState>[0] {
  const who = "circuitBreaker";
  const { failureRate = 0.5, failureThreshold, isFailure, onStateChange } = options;
  if (!(typeof failureRate === "number" && failureRate > 0 && failureRate <= 1)) throw invalidOption(who, "failureRate", "above 0 and at most 1", failureRate);
  if (failureThreshold !== undefined) {
    wholeNumber(who, "failureThreshold", failureThreshold, 1);
    const beside = (["failureRate", "minCalls", "windowMs"] as const).filter((name) => options[name] !== undefined);
    if (beside.length > 0) throw new MillraceError("invalid_input", `${who}: failureThreshold counts failures in a row, without ${beside.join(", ")}`);
  }
  for (const [name, fn] of Object.entries({ isFailure, onStateChange })) {
    if (fn !== undefined && typeof fn !== "function") throw invalidOption(who, name, "a function", fn);
  }
  const openMs = wholeNumber(who, "openMs", options.openMs ?? defaultOpenMs, 1);
  return {
    failureRate,
    failureThreshold,
    minCalls: wholeNumber(who, "minCalls", options.minCalls ?? 20, 1),
    windowMs: wholeNumber(who, "windowMs", options.windowMs ?? 30_000, 10),
    openMs,
    maxOpenMs: wholeNumber(who, "maxOpenMs", options.maxOpenMs ?? Math.max(120_000, openMs), openMs),
    halfOpenCalls: wholeNumber(who, "halfOpenCalls", options.halfOpenCalls ?? 3, 1),
  };
}
