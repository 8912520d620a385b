/**
 * Histories of a queue, its workers and their deaths, and what must hold in every one of them.
 *
 * A history is played in microtasks alone. A process that dies takes its timers along; what it had sent to the queue or the sink is done,
 * what it would send later is not.
 *
 * @module
 */
import fc from "fast-check";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { type Clock, type Context, MillraceError, type Part, type Processor, text } from "../../src/index.ts";
import { deliveryOf } from "../../src/delivery/current.ts";
import type { DeadMessage } from "../../src/delivery/dead-letter.ts";
import type { SinkLike } from "../../src/delivery/sinks.ts";
import { consume } from "../../src/delivery/worker.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";
import { like, wordOf } from "./support.ts";

/** What is decided before a history begins. */
export interface Plan {
  readonly messages: readonly {
    readonly key: string;
    /** Outputs of a whole run; 0 is filtered. */
    readonly outputs: number;
    /** How it fails, if it does, and after how many outputs. */
    readonly fails: "never" | "always" | "at times" | "in an outage";
    readonly after: number;
    readonly times: number;
  }[];
  readonly concurrency: number;
  readonly ahead: number;
  readonly ordering: "none" | "key" | "strict";
  readonly leaseMs: number | undefined;
  /** Steps between one death and the next. */
  readonly kills: readonly number[];
  /** Turns that a write takes. */
  readonly delays: readonly number[];
  /** Milliseconds of a step. */
  readonly stepMs: number;
}

/** Any plan. */
export const plans: fc.Arbitrary<Plan> = fc.record({
  messages: fc.array(
    fc.record({
      key: fc.constantFrom("k", "l", "m"),
      outputs: fc.nat(4),
      fails: fc.constantFrom("never", "never", "always", "at times", "in an outage"),
      after: fc.nat(3),
      times: fc.integer({ min: 1, max: 2 }),
    }),
    { minLength: 1, maxLength: 10 },
  ),
  concurrency: fc.integer({ min: 1, max: 8 }),
  ahead: fc.nat(3),
  ordering: fc.constantFrom("none", "key", "strict"),
  leaseMs: fc.constantFrom(undefined, 20_000),
  kills: fc.array(fc.integer({ min: 1, max: 25 }), { maxLength: 4 }),
  delays: fc.array(fc.nat(60), { minLength: 1, maxLength: 10 }),
  stepMs: fc.constantFrom(1, 400, 3_000),
});

/** Errors that may be planted, to see whether the histories find them. */
export type Bug = "ack on read" | "fire and forget" | "ack before the dead letter" | "dead letter in an outage" | "an output that is swallowed";

/** What was seen, for who wants to know whether anything happened at all. */
export interface Seen {
  readonly killedInFlight: number;
  readonly duplicates: number;
  readonly deadLetters: number;
}

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

/** Plays a history to its end; throws at the first thing that must not be. */
export async function play(plan: Plan, bug?: Bug): Promise<Seen> {
  let nowMs = 0;
  const timers = new Set<Timer>();
  const clockOf = (life: { readonly alive: boolean }): Clock => ({
    now: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const cancel = clockOf(life).timeout(ms, resolve);
        signal?.addEventListener("abort", () => (cancel(), reject(signal.reason)), { once: true });
      }),
    timeout(ms, fire) {
      const timer = { atMs: nowMs + ms, fire: () => life.alive && fire() };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  });
  const world = { alive: true };
  const queue = memoryQueue({ name: "q", clock: clockOf(world), ...(plan.leaseMs === undefined ? {} : { leaseMs: plan.leaseMs }) });
  for (const [index, { key }] of plan.messages.entries()) await queue.send([text(String(index))], { key, id: `m${index}` });

  const failures = plan.messages.map(({ times }) => times);
  /** Writes that were confirmed, by key. */
  const confirmed = new Map<string, number>();
  const aside = new Set<string>();
  const acked: string[] = [];
  let running = 0;
  let attempts = 0;
  let killedInFlight = 0;
  let write = 0;
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new Error(`history: ${what}`);
  };
  const wait = async (): Promise<void> => {
    const turns = plan.delays[(write += 1) % plan.delays.length] ?? 0;
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
  };
  const never = new Promise<never>(() => {});
  const indexOf = (id: string): number => Number(id.slice(2)) - 1;
  const outputKey = (index: number, n: number): string => `q/${index + 1}@m${index}:${n}`;

  const started = (): { kill(): void } => {
    const life = { alive: true };
    const death = new AbortController();
    const gone = async (): Promise<void> => {
      if (!life.alive) await never;
    };
    const processor: Processor = async function* (input: AsyncIterable<Part>, context?: Context) {
      attempts += 1;
      running += 1;
      must(running <= plan.concurrency, `${running} run at once`);
      try {
        const index = indexOf((context === undefined ? undefined : deliveryOf(context)?.id) ?? "");
        const message = plan.messages[index];
        for await (const part of input) must(wordOf(part) === String(index), "a run reads another message");
        if (message === undefined) return;
        for (let n = 0; n <= message.outputs; n += 1) {
          await wait();
          await gone();
          if (message.fails !== "never" && n === Math.min(message.after, message.outputs)) {
            if (message.fails === "always") throw new MillraceError("invalid_input", "bad");
            if ((failures[index] ?? 0) > 0) {
              failures[index] = (failures[index] ?? 0) - 1;
              if (message.fails === "at times") throw new TypeError("by chance");
              throw new MillraceError(bug === "dead letter in an outage" ? "invalid_input" : "unavailable", "down");
            }
          }
          if (n < message.outputs && !(bug === "an output that is swallowed" && n === 3)) yield text(`${index}.${n}`);
        }
      } finally {
        running -= 1;
      }
    };
    const sink: SinkLike = async (part, { key }) => {
      const store = async (): Promise<void> => {
        await wait();
        await gone();
        confirmed.set(key, (confirmed.get(key) ?? 0) + 1);
        const [index, n] = wordOf(part).split(".").map(Number);
        must(key === outputKey(index ?? 0, n ?? 0), `${key} is ${wordOf(part)}`);
      };
      if (bug === "fire and forget") return void store();
      await store();
      await wait();
      await gone();
    };
    const deadLetter = async ({ delivery }: DeadMessage): Promise<void> => {
      const store = async (): Promise<void> => {
        await wait();
        await gone();
        aside.add(delivery.id);
      };
      if (bug === "ack before the dead letter") return void store();
      await store();
      await wait();
    };
    const settledBy = (delivery: Delivery): Delivery => ({
      ...delivery,
      async ack() {
        await gone();
        if (bug !== "ack on read") await done(delivery);
      },
      async nack(options) {
        await gone();
        if (bug !== "ack on read") await delivery.nack(options);
      },
    });
    const done = async (delivery: Delivery): Promise<void> => {
      await delivery.ack();
      const { id } = delivery;
      const message = plan.messages[indexOf(id)];
      must(!acked.includes(id), `${id} is acknowledged twice`);
      acked.push(id);
      const whole = Array.from({ length: message?.outputs ?? 0 }, (_, n) => outputKey(indexOf(id), n)).every((key) => confirmed.has(key));
      must(message?.fails === "always" ? aside.has(id) : whole, `${id} is acknowledged before all is confirmed`);
    };
    const connection: Queue = like(queue, {
      async *open(options) {
        const open = { ...options, signal: death.signal };
        for await (const delivery of queue.open(open)) {
          if (bug === "ack on read") await done(delivery);
          yield settledBy(delivery);
        }
      },
    });
    consume(connection, processor, sink, {
      clock: clockOf(life),
      random: () => 0.5,
      concurrency: plan.concurrency,
      maxInFlight: plan.concurrency + plan.ahead,
      ordering: plan.ordering,
      deadLetter,
      maxDeliveries: 20,
    });
    return {
      kill() {
        life.alive = false;
        killedInFlight += queue.counts.inFlight;
        death.abort(new Error("killed"));
        running = 0;
      },
    };
  };

  const step = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    nowMs += plan.stepMs;
    for (const timer of [...timers].filter(({ atMs }) => atMs <= nowMs)) {
      if (timers.delete(timer)) timer.fire();
    }
  };
  const over = (): boolean => queue.counts.waiting + queue.counts.delayed + queue.counts.inFlight === 0;
  let worker = started();
  for (const steps of plan.kills) {
    for (let i = 0; i < steps && !over(); i += 1) await step();
    if (over()) break;
    worker.kill();
    worker = started();
  }
  for (let steps = 0; !over(); steps += 1) {
    if (steps > 500) nowMs += 5_000; // pauses come to their end; less than a third of a lease
    must(steps < 1_000, "it stands still");
    await step();
  }
  for (let i = 0; i < 5; i += 1) await step();
  worker.kill();

  const healthy = plan.messages.flatMap(({ outputs, fails }, index) => (fails === "always" ? [] : Array.from({ length: outputs }, (_, n) => outputKey(index, n))));
  must(healthy.every((key) => confirmed.has(key)), "an output is lost");
  must(acked.length === plan.messages.length, "a message is lost");
  const bad = plan.messages.flatMap(({ fails }, index) => (fails === "always" ? [`q/${index + 1}`] : []));
  must(JSON.stringify([...aside].sort()) === JSON.stringify(bad.sort()), "the dead letters are not the bad messages");
  const expected = plan.messages.reduce((sum, { fails, times }) => sum + (fails === "at times" || fails === "in an outage" ? times : 0), 0);
  must(attempts <= plan.messages.length + expected + killedInFlight, `${attempts} attempts of ${plan.messages.length} messages, ${killedInFlight} killed in flight`);
  const inOrder = (ids: readonly string[]): boolean => ids.every((id, at) => at === 0 || indexOf(ids[at - 1] ?? "") < indexOf(id));
  if (plan.ordering === "strict") must(inOrder(acked), "messages are acknowledged out of order");
  for (const key of ["k", "l", "m"]) {
    if (plan.ordering === "key") must(inOrder(acked.filter((id) => plan.messages[indexOf(id)]?.key === key)), "messages of one key are acknowledged out of order");
  }
  return { killedInFlight, duplicates: [...confirmed.values()].reduce((sum, times) => sum + times - 1, 0), deadLetters: aside.size };
}
