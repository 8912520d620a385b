/**
 * The endpoints of one balancer, as they come, go, fail and return.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { invalidOption, MillraceError } from "../../core/errors.ts";
import { ignore } from "../../core/flow.ts";
import { type Endpoint, EndpointState, type EndpointStatus, type Verdict } from "./endpoint.ts";

/** No more than this share is ejected; with fewer healthy ones, all are used: they cannot all be worse than none. */
const mostEjected = 0.5;

/** Endpoints by id. */
export class EndpointPool {
  private readonly source: readonly Endpoint[] | (() => readonly Endpoint[]);
  private readonly clock: Clock;
  private states: readonly EndpointState[] = [];
  private list: readonly Endpoint[] | undefined = undefined;
  private closed = false;
  private readonly closings: Promise<unknown>[] = [];
  private drained: (() => void) | undefined = undefined;
  private draining = 0;

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
    if (list === this.list) return;
    check(list);
    if (this.closed) throw closedError();
    this.list = list;
    const before = this.states;
    this.states = list.map((endpoint) => before.find((state) => isSame(state.endpoint, endpoint)) ?? new EndpointState(endpoint));
    for (const state of before) if (!this.states.includes(state)) this.remove(state);
  }

  /** Those that may get a call. Ejected ones only where too few are left. */
  candidates(excluded: ReadonlySet<string>): readonly EndpointState[] {
    if (this.closed) throw closedError();
    const { all } = this;
    const nowMs = this.clock.now();
    const healthy = all.filter((state) => state.isHealthy(nowMs));
    const used = healthy.length < all.length * mostEjected ? all : healthy;
    const rest = used.filter((state) => !excluded.has(state.endpoint.id));
    return rest.length > 0 ? rest : all.filter((state) => !excluded.has(state.endpoint.id));
  }

  begin(state: EndpointState): void {
    state.inFlight += 1;
  }

  /** A call is over. */
  end(state: EndpointState, verdict: Verdict): void {
    state.inFlight -= 1;
    const nowMs = this.clock.now();
    if (state.count(verdict, nowMs) && this.mayEject(nowMs)) state.eject(nowMs);
    if (state.removed && state.inFlight === 0) this.shut(state);
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
    state.removed = true;
    this.draining += 1;
    if (state.inFlight === 0) this.shut(state);
  }

  private shut(state: EndpointState): void {
    this.draining -= 1;
    const closing = Promise.resolve().then(() => state.endpoint.close?.());
    closing.catch(ignore); // told by `close`
    this.closings.push(closing);
    if (this.draining === 0) this.drained?.();
  }

  /** Refuses further calls, and closes each endpoint after its last one. */
  async close(): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      const { states } = this;
      this.states = [];
      for (const state of states) this.remove(state);
    }
    if (this.draining > 0) {
      await new Promise<void>((resolve) => {
        const others = this.drained;
        this.drained = () => {
          others?.();
          resolve();
        };
      });
    }
    await Promise.all(this.closings);
  }
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  return a.id === b.id && a.processor === b.processor && (a.weight ?? 1) === (b.weight ?? 1);
}

function closedError(): MillraceError {
  return new MillraceError("closed", "loadBalance: it was closed");
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
