/**
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { MillraceError, received, requireProcessors, type TimeoutPhase } from "../core/errors.ts";
import { DONE, type Flow, ignore, isPart, WAIT } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import { Attempt } from "./attempts/attempt.ts";
import { interrupted, isContent, Tally } from "./attempts/commit.ts";
import { type Told, ToldFlow } from "./attempts/told-flow.ts";
import { WaitingClock } from "./attempts/waiting-clock.ts";

/** Options of `timeout`. A clock that is not named does not run; where none is named, all do, with their defaults. */
export interface TimeoutOptions {
  /** Milliseconds to the first content part. @default 60_000 */
  readonly firstPartMs?: number;
  /** Milliseconds between signs of life, once content has come: parts of any kind, status parts included. @default 30_000 */
  readonly idleMs?: number;
  /** Milliseconds between content parts. @default four times `idleMs` */
  readonly progressMs?: number;
  /** Milliseconds to the end, while the consumer holds a part included. Attempts inside are not started when it is short. @default 600_000 */
  readonly totalMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

const names = ["firstPartMs", "idleMs", "progressMs", "totalMs"] as const;
const defaults: TimeoutOptions = { firstPartMs: 60_000, idleMs: 30_000, totalMs: 600_000 };
/** Signs of life cannot keep an answer alive for longer than this many times `idleMs`. */
const progressFactor = 4;

interface Settings {
  readonly firstPartMs: number;
  readonly idleMs: number;
  readonly progressMs: number;
  readonly totalMs: number;
  readonly clock: Clock;
}

/**
 * Gives up on a processor that takes too long.
 *
 * All clocks but the total run only while a part is being waited for: a slow consumer is not a slow provider.
 *
 * Throws: `timeout` with its `phase` (`firstPart`, `idle`, `progress`, `total`), within `interrupted` once content was handed on;
 *         `missing_config` for a time that is not positive.
 * Closes: the processor and its input when a time is up, waiting 100 ms at most for them to unwind.
 *
 * @example
 * const patient = timeout(each((part) => part), { firstPartMs: 300_000, idleMs: 30_000 });
 * console.log(await run(patient, "hello").text()); // hello
 */
export function timeout(processor: Processor, options: TimeoutOptions = {}): Processor {
  requireProcessors("timeout", [processor]);
  for (const name of names) {
    const value: unknown = options[name];
    if (value !== undefined && !(typeof value === "number" && value > 0 && value < Infinity)) {
      throw new MillraceError("missing_config", `timeout: ${name} must be a positive number of milliseconds, got ${received(value)}`);
    }
  }
  const given = names.some((name) => options[name] !== undefined) ? options : defaults;
  const { firstPartMs = Infinity, idleMs = Infinity, totalMs = Infinity, progressMs = idleMs * progressFactor } = given;
  const settings: Settings = { firstPartMs, idleMs, progressMs, totalMs, clock: options.clock ?? systemClock };
  return processorOf([{ kind: "flow", name: "timeout", open: (upstream, scope) => new Timed(processor, upstream, scope, settings) }]);
}

/** A time is up, and the reader is yet to be told. */
interface Expired {
  readonly error: unknown;
  readonly closing: Promise<void> | undefined;
}

class Timed extends ToldFlow {
  private readonly settings: Settings;
  private readonly scope: Scope;
  private readonly attempt: Attempt;
  private readonly waiting: WaitingClock;
  private readonly tally = new Tally();
  private deadlineMs = Infinity;
  private cancelTotal: (() => void) | undefined = undefined;
  private begun = false;
  private over = false;
  private closing: Promise<void> | undefined = undefined;
  private failure: Expired | undefined = undefined;

  constructor(processor: Processor, upstream: Flow, scope: Scope, settings: Settings) {
    super();
    const { clock, firstPartMs, idleMs, progressMs, totalMs } = settings;
    this.settings = settings;
    this.waiting = new WaitingClock(clock, { firstMs: firstPartMs, idleMs, progressMs }, (phase, ms) => this.expire(phase, ms));
    this.scope = scope.child((why) => this.close(why)); // inside an opaque stage that is parked nobody else would stop the clocks
    const outer = scope.limits.leftMs;
    const leftMs = (): number => Math.min(this.deadlineMs - clock.now(), outer?.() ?? Infinity);
    this.attempt = new Attempt(processor, upstream, this.scope, {
      number: 1,
      heard: () => this.waiting.alive(),
      ...(totalMs === Infinity ? {} : { limits: { leftMs } }),
    });
  }

  protected override read(): Told {
    if (this.failure !== undefined) {
      void this.tell(this.failure);
      return WAIT;
    }
    if (this.over) return DONE;
    if (!this.begun) this.begin();
    const told = this.attempt.flow.pullFor(this);
    if (isPart(told)) return this.hand(told);
    if (told === DONE) return this.end();
    this.waiting.start();
    return WAIT;
  }

  private begin(): void {
    this.begun = true;
    const { totalMs, clock } = this.settings;
    if (totalMs === Infinity) return;
    this.deadlineMs = clock.now() + totalMs;
    this.cancelTotal = clock.timeout(totalMs, () => this.expire("total", totalMs));
  }

  private hand(part: Part): Part {
    this.tally.add(part);
    this.waiting.arrived(isContent(part));
    return part;
  }

  override onPart(part: Part): void {
    if (this.over) return;
    this.answer(this.hand(part));
  }

  override onEnd(): void {
    if (!this.over) this.answer(this.end());
  }

  override onError(error: unknown): void {
    if (this.over) return;
    this.stop();
    void this.attempt.giveUp(error)?.catch(ignore); // it has failed: only its calls in flight are to be told
    this.refuse(error);
  }

  /** A time is up. */
  private expire(phase: TimeoutPhase, ms: number): void {
    this.stop();
    const what = phase === "total" ? "has not ended" : phase === "firstPart" ? "no content" : phase === "idle" ? "no sign of life" : "no further content";
    const late = new MillraceError("timeout", `timeout: ${what} within ${ms} ms`, { phase, retryable: phase !== "total" });
    const error = this.tally.parts > 0 ? interrupted("timeout", late, this.tally, 1) : late;
    this.failure = { error, closing: this.attempt.abandon(late, this.settings.clock) };
    if (this.reader !== null) void this.tell(this.failure); // else at the next pull
  }

  /** Tells of the failure, once, when what could unwind has; who has left meanwhile is told no more. */
  private async tell({ error, closing }: Expired): Promise<void> {
    await closing;
    this.failure = undefined;
    this.refuse(error);
  }

  private end(): typeof DONE {
    this.stop();
    this.attempt.end();
    return DONE;
  }

  private stop(): void {
    this.over = true;
    this.waiting.cancel();
    this.cancelTotal?.();
    this.scope.release();
  }

  override close(why: unknown): Promise<void> | undefined {
    this.stop();
    this.closing = this.attempt.giveUp(why) ?? this.closing;
    this.refuse(why);
    return this.closing;
  }
}
