/**
 * What a balancer knows of one endpoint: how busy, how quick and how well it is.
 *
 * Ejection, panic and slow start after Envoy (envoyproxy.io, "Outlier detection"), with a larger share that may be ejected:
 * its 10 % means never where there are three.
 *
 * @module
 */
import { isMillraceError } from "../../core/errors.ts";
import { ignore } from "../../core/flow.ts";
import type { Processor } from "../../core/processor.ts";
import { rootOf } from "../attempts/commit.ts";

/** One of several that do the same. */
export interface Endpoint {
  /** Told in the metadata of finish parts; never an address. */
  readonly id: string;
  readonly processor: Processor;
  /** Its share, against the others. @default 1 */
  readonly weight?: number;
  /** Called once, when it has been removed and its last call is over. */
  close?(): Promise<void>;
}

/** What is known of one, at a moment. */
export interface EndpointStatus {
  readonly id: string;
  readonly inFlight: number;
  /** It gets calls, as far as anybody knows. */
  readonly healthy: boolean;
  /** Milliseconds until it is tried again; 0 when it is not ejected. */
  readonly ejectedForMs: number;
  /** Milliseconds to the first content, recent calls counting more; nothing before the first. */
  readonly firstPartMs: number | undefined;
}

/** Failures in a row that eject. */
const failuresInARow = 5;
/** A share of failures that ejects, of at least so many calls within the window. */
const failureRate = 0.5;
const leastCalls = 20;
const buckets = 10;
const bucketMs = 1_000;
/** The first ejection; each further one lasts longer by as much. */
const ejectionMs = 30_000;
const longestEjectionMs = 300_000;
/** The way back: its weight grows from a tenth to the whole. */
const slowStartMs = 30_000;
const leastShare = 0.1;
/** How much the latest measurement counts. */
const alpha = 0.3;
/** What was measured is forgotten, so that one that was slow once is tried again when the others are busy: to a third after so long without a call. */
const forgetMs = 30_000;
/** Checks in a row that bring it back, and that take it out. */
const checksUp = 3;
const checksDown = 2;

/** How a call ended, for the health of the endpoint. */
export type Verdict = "passed" | "failed" | "neither";

const failing: ReadonlySet<string> = new Set(["unavailable", "timeout", "truncated", "bad_response", "interrupted", "circuit_open", "unauthorized"]);

/** Whose fault was it? Bad parts, full quotas, bugs and aborts are not the endpoint's. */
export function verdictOf(error: unknown): Verdict {
  const root = rootOf(error);
  return isMillraceError(root) && failing.has(root.code) ? "failed" : "neither";
}

/** The state of one endpoint. */
export class EndpointState {
  endpoint: Endpoint;
  inFlight = 0;
  removed = false;
  /** Told when the last call of a removed one is over. */
  private drained: () => void = ignore;
  /** Turns of weighted round robin that it is owed. */
  owed = 0;
  firstPartMs: number | undefined = undefined;
  private measuredAtMs = 0;
  private failedInARow = 0;
  /** Calls and failures of the last seconds, each bucket with the second that it is of. */
  private readonly seconds = Array.from({ length: buckets }, () => ({ second: -1, calls: 0, failures: 0 }));
  private ejectedUntilMs = -Infinity;
  private ejections = 0;
  private backAtMs = -Infinity;
  private checkedUp = true;
  private checks = 0;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  begin(): void {
    this.inFlight += 1;
  }

  end(): void {
    this.inFlight -= 1;
    if (this.inFlight === 0) this.drained();
  }

  /** It gets no further call. Resolves when the last one is over. */
  remove(): Promise<void> {
    this.removed = true;
    return this.inFlight === 0 ? Promise.resolve() : new Promise((resolve) => (this.drained = resolve));
  }

  /** Milliseconds until it is tried again. */
  ejectedForMs(nowMs: number): number {
    if (this.ejectedUntilMs === -Infinity) return 0;
    if (nowMs < this.ejectedUntilMs) return this.ejectedUntilMs - nowMs;
    this.backAtMs = this.ejectedUntilMs;
    this.ejectedUntilMs = -Infinity;
    return 0;
  }

  isHealthy(nowMs: number): boolean {
    return this.ejectedForMs(nowMs) === 0 && this.checkedUp;
  }

  /** Its share: less while it comes back. */
  share(nowMs: number): number {
    const { weight = 1 } = this.endpoint;
    return weight * Math.min(1, Math.max(leastShare, (nowMs - this.backAtMs) / slowStartMs));
  }

  /** The first content came. */
  measured(ms: number, nowMs: number): void {
    this.firstPartMs = this.firstPartMs === undefined ? ms : this.firstPartMs + alpha * (ms - this.firstPartMs);
    this.measuredAtMs = nowMs;
  }

  /** How much of what was measured still counts: from 1 to 0; 0 before the first. */
  freshness(nowMs: number): number {
    return this.firstPartMs === undefined ? 0 : Math.exp(-(nowMs - this.measuredAtMs) / forgetMs);
  }

  /** Counts a call that is over. True when it should be ejected. */
  count(verdict: Verdict, sinceMs: number, nowMs: number): boolean {
    // What began before it came back tells nothing of how it is now.
    if (verdict === "neither" || this.ejectedForMs(nowMs) > 0 || sinceMs < this.backAtMs) return false;
    const second = Math.floor(nowMs / bucketMs);
    const bucket = this.seconds[second % buckets];
    if (bucket !== undefined) {
      if (bucket.second !== second) Object.assign(bucket, { second, calls: 0, failures: 0 });
      bucket.calls += 1;
      if (verdict === "failed") bucket.failures += 1;
    }
    if (verdict === "passed") {
      this.failedInARow = 0;
      if (nowMs - this.backAtMs > longestEjectionMs) this.ejections = 0;
      return false;
    }
    this.failedInARow += 1;
    return this.failedInARow >= failuresInARow || this.failsOften(second);
  }

  private failsOften(second: number): boolean {
    let calls = 0;
    let failures = 0;
    for (const bucket of this.seconds) {
      if (bucket.second <= second - buckets) continue;
      calls += bucket.calls;
      failures += bucket.failures;
    }
    return calls >= leastCalls && failures >= calls * failureRate;
  }

  eject(nowMs: number): void {
    this.ejections += 1;
    this.failedInARow = failuresInARow; // when it has come back, one failure sends it away again
    this.ejectedUntilMs = nowMs + Math.min(longestEjectionMs, ejectionMs * this.ejections);
  }

  /** A health check came back. */
  checked(up: boolean, nowMs: number): void {
    if (up === this.checkedUp) {
      this.checks = 0;
      return;
    }
    this.checks += 1;
    if (this.checks < (up ? checksUp : checksDown)) return;
    this.checks = 0;
    this.checkedUp = up;
    if (up) this.backAtMs = nowMs;
  }

  status(nowMs: number): EndpointStatus {
    const { inFlight, firstPartMs } = this;
    return { id: this.endpoint.id, inFlight, healthy: this.isHealthy(nowMs), ejectedForMs: this.ejectedForMs(nowMs), firstPartMs };
  }
}
