/**
 * The endpoints of one balancer, as they come, go, fail and return.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { invalidOption, MillraceError } from "../../core/errors.ts";
import { allClosed, ignore } from "../../core/flow.ts";
import { type Endpoint, EndpointState, type EndpointStatus, type Verdict } from "./endpoint.ts";

/** No more than this share is ejected; with fewer healthy ones, all are used: they cannot all be worse than none. */
const mostEjected = 0.5;

/** Endpoints by id. */
export class EndpointPool {
  private readonly source: readonly Endpoint[] | (() => readonly Endpoint[]);
  private readonly clock: Clock;
  private states: readonly EndpointState[] = [];
  private closed = false;
  /** Of removed ones, until they are closed; those that fail stay, for `close` to tell. */
  private readonly leaving = new Set<Promise<void>>();

  constructor(source: readonly Endpoint[] | (() => readonly Endpoint[]), clock: Clock) {
    this.source = source;
    this.clock = clock;
    if (typeof source !== "function") this.update(source);
  }

  /** All that there are now. */
  get all(): readonly EndpointState[] {
    if (typeof this.source === "function" && !this.closed) this.update(this.source());
    return this.states;
  }

  /** Takes over another list: who stays keeps what is known, who goes is closed after its last call. */
  update(list: readonly Endpoint[]): void {
    this.requireOpen();
    check(list);
    const known = new Map(this.states.map((state) => [state.endpoint.id, state]));
    this.states = list.map((endpoint) => {
      const state = known.get(endpoint.id);
      if (state?.endpoint.processor !== endpoint.processor) return new EndpointState(endpoint);
      known.delete(endpoint.id);
      state.endpoint = endpoint; // of another weight, it may be
      return state;
    });
    for (const state of known.values()) this.remove(state);
  }

  /** Refuses a call after `close`. */
  requireOpen(): void {
    if (this.closed) throw new MillraceError("closed", "loadBalance: it was closed");
  }

  /** Those that may get a call, none after `close`. Ejected ones only where too few are left. */
  candidates(excluded: ReadonlySet<string>): readonly EndpointState[] {
    const { all } = this;
    const nowMs = this.clock.now();
    const healthy = all.filter((state) => state.isHealthy(nowMs));
    const used = healthy.length < all.length * mostEjected ? all : healthy;
    const rest = used.filter((state) => !excluded.has(state.endpoint.id));
    return rest.length > 0 ? rest : all.filter((state) => !excluded.has(state.endpoint.id));
  }

  /** A call is over. */
  end(state: EndpointState, verdict: Verdict, sinceMs: number): void {
    const nowMs = this.clock.now();
    if (state.count(verdict, sinceMs, nowMs) && this.mayEject(nowMs)) state.eject(nowMs);
    state.end();
  }

  private mayEject(nowMs: number): boolean {
    const ejected = this.states.filter((state) => state.ejectedForMs(nowMs) > 0).length;
    return ejected + 1 <= this.states.length * mostEjected;
  }

  get status(): readonly EndpointStatus[] {
    const nowMs = this.clock.now();
    return this.all.map((state) => state.status(nowMs));
  }

  private remove(state: EndpointState): void {
    const leaving = state.remove().then(() => state.endpoint.close?.());
    this.leaving.add(leaving);
    leaving.then(() => this.leaving.delete(leaving), ignore);
  }

  /** Refuses further calls, and closes each endpoint after its last one. */
  async close(): Promise<void> {
    this.closed = true;
    for (const state of this.states) this.remove(state);
    this.states = [];
    await allClosed([...this.leaving]);
  }
}

function check(list: unknown): void {
  if (!Array.isArray(list)) throw invalidOption("loadBalance", "endpoints", "an array, or a function that gives one", list);
  const ids = new Set<string>();
  for (const [index, endpoint] of (list as readonly unknown[]).entries()) {
    const place = `endpoint ${index + 1}`;
    if (typeof endpoint !== "object" || endpoint === null) throw invalidOption("loadBalance", place, "an object", endpoint);
    const { id, processor, weight = 1, close } = endpoint as Partial<Endpoint>; // each field is checked here
    if (typeof id !== "string" || id === "") throw invalidOption("loadBalance", `id of ${place}`, "a text", id);
    if (ids.has(id)) throw invalidOption("loadBalance", `id of ${place}`, "unlike all others", id);
    ids.add(id);
    if (typeof processor !== "function") throw invalidOption("loadBalance", `processor of ${place}`, "a processor", processor);
    if (typeof weight !== "number" || !(weight > 0 && weight < Infinity)) throw invalidOption("loadBalance", `weight of ${place}`, "a positive number", weight);
    if (close !== undefined && typeof close !== "function") throw invalidOption("loadBalance", `close of ${place}`, "a function", close);
  }
}
