/**
 * The life of a delivery in the worker: attempts, and what each of them leads to, until it is settled.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import { ErrorCount } from "../streams/error-budget.ts";
import { AttemptCount } from "./attempt-count.ts";
import { Attempts, type Outcome } from "./attempt.ts";
import { deadLetterOf, setAside } from "./dead-letter.ts";
import { Door, type Pass } from "./door.ts";
import { heard } from "./heard.ts";
import type { Held } from "./held.ts";
import { anywhere, Lanes } from "./lanes.ts";
import { Lately } from "./lately.ts";
import type { Settings } from "./options.ts";
import { Settling } from "./settling.ts";
import { Suspicion } from "./suspicion.ts";
import { askedMs, verdictOn } from "./verdict.ts";

/** An attempt without a limit of its own is given up after so many milliseconds without progress. */
const idleMs = 300_000;

type Group = readonly [Held, ...Held[]];
type Failure = Extract<Outcome, { readonly kind: "failed" }>;

/** What comes next for the deliveries of a group. */
type Next =
  | { readonly kind: "over" }
  | { readonly kind: "split" }
  /** Another attempt, by this worker; the deliveries stay out. */
  | { readonly kind: "again"; readonly delayMs: number }
  /** Given back, but the queue takes nothing back for later: the wait is here. */
  | { readonly kind: "back"; readonly delayMs: number };

const over: Next = { kind: "over" };

/** Why work that has not begun, or was given up, is given back. */
const shut: unique symbol = Symbol("millrace.shut");

function isGroup(all: readonly Held[]): all is Group {
  return all.length > 0;
}

/** Works on groups of deliveries. */
export class Handling {
  readonly door: Door;
  readonly settling: Settling;
  private readonly settings: Settings;
  private readonly attempts: Attempts;
  private readonly lanes: Lanes;
  private readonly budget: ErrorCount | undefined;
  /** Ends every setting aside. */
  private readonly stop = new AbortController();
  /** Ends every wait between attempts. */
  private readonly leaving = new AbortController();
  private readonly made = new AttemptCount();
  /** Deliveries that are counted as bad, and not set aside yet. */
  private readonly condemned = new Lately();
  private readonly suspicion: Suspicion;

  constructor(settings: Settings, changed: () => void) {
    const { queue, concurrency, clock, random, deliveryTimeoutMs, errorBudget, outageMs } = settings;
    this.settings = settings;
    this.settling = new Settling(settings, changed, (error, pass) => void this.pause(error, pass));
    const lease = queue.lacks.extend === undefined ? undefined : queue.leaseMs;
    this.attempts = new Attempts({ ...settings, totalMs: deliveryTimeoutMs ?? lease, idleMs });
    this.door = new Door({ concurrency, clock, random, changed });
    this.lanes = new Lanes(settings.ordering);
    this.suspicion = new Suspicion(clock, outageMs);
    this.budget = errorBudget === undefined ? undefined : new ErrorCount(errorBudget);
  }

  /** No attempt begins any more; what has not begun is given back. */
  shut(): void {
    this.door.shut(shut);
    this.leaving.abort(shut);
  }

  /** Attempts that are still going on are given up, and their deliveries given back. */
  giveUp(reason: unknown): void {
    this.stop.abort(reason);
    this.attempts.stop(reason);
  }

  /** All is over: nothing is watched any more. */
  close(): void {
    this.attempts.close();
  }

  /** Works on deliveries until all are settled. Rejects with what the program is to blame for; they stay unsettled then. */
  handle(group: readonly Held[]): Promise<void> {
    return this.work(group, this.settings.ordering === "none" ? anywhere : this.lanes.enter(group.map(({ delivery }) => delivery.key)));
  }

  /** Gives back what is not settled, and tells of what is lost; nobody is to blame. */
  async giveBack(group: readonly Held[]): Promise<void> {
    await Promise.all(this.left(group)?.map((held) => this.settling.nack(held, 0, false)) ?? []);
  }

  private async work(all: readonly Held[], lane = anywhere): Promise<void> {
    try {
      if (lane.turn !== undefined) await lane.turn;
      for (;;) {
        const group = this.left(all);
        if (group === undefined) return;
        const pass = this.door.step() ?? (await this.door.enter());
        const outcome = await this.attempts.make(group);
        // the run is over: others need not wait until the queue has confirmed that
        const early = outcome.kind === "done" && !pass.probe;
        if (early) this.door.leave(pass);
        let next: Next;
        try {
          next = await this.judge(group, outcome, pass);
        } finally {
          if (!early) this.door.leave(pass);
        }
        if (next.kind === "over") return;
        if (next.kind === "split") {
          const half = group.length >> 1;
          await this.work(group.slice(0, half));
          await this.work(group.slice(half));
          return;
        }
        if (next.delayMs > 0) await this.settings.clock.sleep(next.delayMs, this.leaving.signal);
        if (next.kind === "back") return void (await Promise.all(group.map((held) => this.settling.nack(held, 0, true))));
      }
    } catch (error) {
      if (error !== shut) throw error;
      await this.giveBack(all);
    } finally {
      lane.leave();
    }
  }

  /** Those that are still to be worked on; of those that are lost it is told, once. */
  private left(all: readonly Held[]): Group | undefined {
    for (const held of all) if (held.lost && !held.settled) this.settling.lose(held, held.reason);
    const left = all.some((held) => held.settled) ? all.filter((held) => !held.settled) : all;
    return isGroup(left) ? left : undefined;
  }

  private judge(group: Group, outcome: Outcome, pass: Pass): Next | Promise<Next> {
    switch (outcome.kind) {
      case "stopped":
        throw shut;
      case "lost":
        return { kind: "again", delayMs: 0 }; // without those that are lost
      case "done":
        return this.done(group, outcome.outputs, pass);
      default:
        return this.failed(group, outcome, pass);
    }
  }

  private done(group: Group, outputs: number, pass: Pass): Next | Promise<Next> {
    this.suspicion.succeeded();
    this.budget?.passed();
    return group.length === 1 ? this.ack(group[0], outputs, pass) : Promise.all(group.map((held) => this.ack(held, outputs, pass))).then(() => over);
  }

  private async failed(group: Group, failure: Failure, pass: Pass): Promise<Next> {
    const { queue, deadLetter, maxDeliveries } = this.settings;
    const { error } = failure;
    const verdict = verdictOn(error);
    if (verdict === "stop") throw error;
    if (queue.guarantee === "at-most-once") {
      if (verdict === "pause") this.pause(error, pass);
      for (const held of group) this.settling.lose(held, error);
      await Promise.allSettled(group.map((held) => held.delivery.ack())); // makes room; there is nothing else to it
      return over;
    }
    if (verdict === "pause") return this.hold(group, error, pass);
    const bad = verdict === "dead-letter" && deadLetter !== undefined;
    if (bad && group.length > 1) return this.split(group, error);
    if (bad) return this.setAside(group[0], failure, pass);
    const attempts = Math.max(...group.map((held) => this.made.count(held.delivery)));
    this.suspicion.failed(group[0].delivery.id); // of a batch one: the others may be well
    const spent = deadLetter !== undefined && attempts >= maxDeliveries;
    if (spent && this.suspicion.many && this.suspicion.spares(pass.probe)) return this.hold(group, error, pass, true);
    if (spent && group.length > 1) return this.split(group, error);
    if (spent) return this.setAside(group[0], failure, pass, attempts);
    if (pass.probe) this.pause(error, pass); // it has not shown that all is well
    return this.retry(group, error, attempts);
  }

  private split(group: Group, error: unknown): Next {
    this.settings.tell({ kind: "split", ids: group.map(({ delivery }) => delivery.id), error });
    return { kind: "split" };
  }

  /** Another attempt, after a while; the last one counts. */
  private async retry(group: Group, error: unknown, attempt: number): Promise<Next> {
    const { queue, ordering, baseMs, maxMs, random, tell } = this.settings;
    // full jitter: what failed together does not come back together
    const soonMs = askedMs(error) ?? random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
    const delayMs = Math.round(Math.max(soonMs, this.awayMs));
    for (const { delivery } of group) tell({ kind: "retried", id: delivery.id, attempt, delayMs, counted: true, error });
    if (queue.redelivery === "seek" || ordering !== "none") return { kind: "again", delayMs };
    if (queue.lacks.nackDelay !== undefined && delayMs > 0) return { kind: "back", delayMs };
    await Promise.all(group.map((held) => this.settling.nack(held, delayMs, true)));
    return over;
  }

  /**
   * During a pause what may be to blame stays away until its end and as long again as it has lasted, or the same bad ones would be every probe; but
   * no longer than it takes until they are decided.
   */
  private get awayMs(): number {
    return this.door.paused ? this.door.leftMs + Math.min(this.door.pausedMs, this.suspicion.leftMs) : 0;
  }

  /** All wait; the deliveries at hand are not to blame. Where the queue would count, or lose their order, they stay out. */
  private async hold(group: Group, error: unknown, pass: Pass, suspect = false): Promise<Next> {
    const { queue, ordering, tell } = this.settings;
    if (!suspect) this.suspicion.named();
    const leftMs = this.pause(error, pass);
    const delayMs = Math.ceil(suspect ? this.awayMs : leftMs);
    for (const held of group) tell({ kind: "retried", id: held.delivery.id, attempt: this.made.number(held.delivery), delayMs, counted: false, error });
    const stay = queue.redelivery === "seek" || ordering !== "none" || queue.lacks.uncounted !== undefined || queue.lacks.nackDelay !== undefined;
    if (stay) return { kind: "again", delayMs: 0 }; // the door keeps them waiting
    await Promise.all(group.map((held) => this.settling.nack(held, delayMs, false)));
    return over;
  }

  private async setAside(held: Held, failure: Failure, pass: Pass, attempts = this.made.number(held.delivery)): Promise<Next> {
    const { deadLetter, tell } = this.settings;
    const { delivery } = held;
    const { error } = failure;
    if (deadLetter === undefined) return this.retry([held], error, attempts); // nowhere to set it aside
    if (this.budget !== undefined && this.condemned.add(delivery.id)) this.budget.failed(); // once, however often it takes to set it aside
    const tooMany = this.budget?.exceeded === true; // no message is bad at such a rate
    if (tooMany && this.suspicion.spares(pass.probe)) return this.hold([held], error, pass, true);
    const letter = deadLetterOf(delivery, attempts, failure);
    const limited = this.limited(held);
    try {
      const { signal } = limited;
      const { reference = false } = await heard(setAside(deadLetter, { letter, parts: delivery.parts, delivery, signal }), signal);
      if (!(await this.settling.confirmed(held, pass))) return over;
      this.made.forget(delivery);
      this.condemned.delete(delivery.id);
      this.settling.tally.deadLettered += 1;
      tell({ kind: "dead_letter", id: delivery.id, attempt: letter.attempt, reference, error });
    } catch (failed) {
      if (this.stop.signal.aborted) throw shut;
      if (held.lost) return { kind: "again", delayMs: 0 }; // another has it; of that it is told
      return this.hold([held], failed, pass); // nothing is acknowledged that is not safe elsewhere
    } finally {
      limited.end();
    }
    if (this.suspicion.on) this.pause(error, pass);
    else this.well(pass);
    return over;
  }

  /** What ends the setting aside of a delivery: that the worker gives up, that it is lost, or that it takes as long as an attempt may. */
  private limited(held: Held): { readonly signal: AbortSignal; end(): void } {
    const { limitMs } = this.attempts;
    const controller = new AbortController();
    const stopped = (): void => controller.abort(this.stop.signal.reason);
    if (this.stop.signal.aborted) stopped();
    this.stop.signal.addEventListener("abort", stopped, { once: true });
    const gone = (): void => controller.abort(held.reason);
    if (held.lost) gone();
    held.listen(gone);
    const cancel = this.settings.clock.timeout(limitMs, () => {
      controller.abort(new MillraceError("timeout", `consume: the dead letter of ${held.delivery.id} was not confirmed for ${limitMs} ms`, { phase: "total" }));
    });
    return {
      signal: controller.signal,
      end: () => {
        cancel();
        held.deaf();
        this.stop.signal.removeEventListener("abort", stopped);
      },
    };
  }

  private pause(error: unknown, pass?: Pass): number {
    const before = this.door.paused;
    const delayMs = this.door.pause(askedMs(error), pass, this.suspicion.doubts);
    if (!before || pass?.probe === true) this.settings.tell({ kind: "paused", delayMs, error });
    return delayMs;
  }

  private well({ probe }: Pass): void {
    if (!probe || !this.door.paused) return; // another of its batch may have been first
    this.door.resume();
    this.settings.tell({ kind: "resumed" });
  }

  private async ack(held: Held, outputs: number, pass: Pass): Promise<Next> {
    const attempt = this.made.number(held.delivery);
    if (!(await this.settling.confirmed(held, pass))) return over;
    this.made.forget(held.delivery);
    this.settling.tally.acked += 1;
    this.settings.tell({ kind: "acked", id: held.delivery.id, attempt, outputs });
    this.well(pass);
    return over;
  }
}
