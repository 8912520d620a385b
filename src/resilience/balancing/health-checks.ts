/**
 * Checks of endpoints, beside the calls: none waits for one.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { EndpointState } from "./endpoint.ts";

/** What checks are told. */
export interface HealthCheckOptions {
  readonly check: (endpoint: EndpointState["endpoint"], signal: AbortSignal) => Promise<boolean>;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Checks are spread by up to this share of their interval, so that many processes do not check in step. */
const jitter = 0.2;
/** Without a call for so long, nothing is checked: a program that is done with its balancer can end. */
const idleMs = 60_000;

/** Runs the checks of one balancer. */
export class HealthChecks {
  private readonly options: HealthCheckOptions;
  /** What stops the wait or the check of each endpoint that is looked after. */
  private readonly running = new Map<EndpointState, () => void>();
  private calledAtMs = -Infinity;
  private stopped = false;

  constructor(options: HealthCheckOptions) {
    this.options = options;
  }

  /** A call is made: the endpoints are looked after for a while. */
  called(states: Iterable<EndpointState>): void {
    if (this.stopped) return;
    this.calledAtMs = this.options.clock.now();
    for (const state of states) if (!this.running.has(state)) this.wait(state, this.options.random() * this.options.everyMs);
  }

  /** Leaves no timer and no check. */
  stop(): void {
    this.stopped = true;
    for (const stop of this.running.values()) stop();
  }

  private wait(state: EndpointState, ms: number): void {
    this.running.set(
      state,
      this.options.clock.timeout(ms, () => void this.check(state)),
    );
  }

  private async check(state: EndpointState): Promise<void> {
    const { check, clock, timeoutMs, everyMs, random } = this.options;
    if (state.removed || clock.now() - this.calledAtMs > idleMs) {
      this.running.delete(state);
      return;
    }
    const controller = new AbortController();
    const up = await new Promise<boolean>((resolve) => {
      const settle = (answer: boolean): void => {
        cancel();
        resolve(answer); // the first counts
        controller.abort(new DOMException("the check is over", "AbortError"));
      };
      const stop = (): void => settle(false);
      const cancel = clock.timeout(timeoutMs, stop);
      this.running.set(state, stop);
      Promise.resolve()
        .then(() => check(state.endpoint, controller.signal))
        .then((answer) => settle(answer === true), stop);
    });
    if (this.stopped) return;
    state.checked(up, clock.now());
    this.wait(state, everyMs * (1 - jitter + 2 * jitter * random()));
  }
}
