/**
 * What `consume` may be told, and which set-ups it refuses, since they lose messages or stand still.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import type { Observer, Processor } from "../core/processor.ts";
import { type Queue, requireQueue } from "../kinds/queue.ts";
import { budgetOf, type ErrorBudget } from "../streams/error-budget.ts";
import type { DeadLetters } from "./dead-letter.ts";
import { type Tell, telling, type WorkerEvent } from "./events.ts";
import type { Journal } from "../kinds/journal.ts";
import type { Ordering } from "./lanes.ts";
import { queuesIn, type Sink, type SinkLike, sinkOf } from "./sinks.ts";

const who = "consume";

/** Several deliveries in one run. A run has `count` of them, or is as large or as old as it may be. */
export interface DeliveryBatch {
  readonly count: number;
  /** Bytes of content at most; a single larger delivery is a batch of its own. @default no limit */
  readonly bytes?: number;
  /** Milliseconds after its first delivery at which a batch is run as it is. @default 1_000 */
  readonly maxWaitMs?: number;
}

/** What `consume` may be told. */
export interface ConsumeOptions {
  /** Aborts the worker: as `stop` without time to finish; `finished` rejects with the reason. */
  readonly signal?: AbortSignal;
  /** Runs at once, at most. @default 1 */
  readonly concurrency?: number;
  /** Deliveries that are out at most, running or not. @default twice `concurrency`, or what a batch needs */
  readonly maxInFlight?: number;
  /**
   * In which order messages are worked on. With `"none"` one that failed comes again after later ones; with `"key"` it holds up those of
   * its key, with `"strict"` all others. @default "none"
   */
  readonly ordering?: Ordering;
  /** Where messages go that cannot be worked on. @default nowhere: they are tried again for ever, ever more rarely */
  readonly deadLetter?: DeadLetters;
  /** Attempts that count, at most, before a message is set aside whose failures may have been chance. @default 5 */
  readonly maxDeliveries?: number;
  /** What looks like bad messages at such a rate is an outage: the worker pauses. @default 5 % of 200, and 20 in a row */
  readonly errorBudget?: ErrorBudget | false;
  /**
   * For so many milliseconds without any success it is believed that what looks like bad messages is an outage: none is set aside, and one
   * is tried about twice a second. After that one is set aside at each try, a minute apart at most, until one succeeds. `Infinity`: for ever;
   * 0: it is never believed.
   * @default 600_000
   */
  readonly outageMs?: number;
  readonly batch?: DeliveryBatch;
  /**
   * Milliseconds an attempt may take. @default the lease, where it cannot be prolonged; else 300_000 without progress: without an output
   * and a status part
   */
  readonly deliveryTimeoutMs?: number;
  /** Records what the pipeline gives for a delivery before it is written: see `journal`. */
  readonly journal?: Journal;
  /** Of the pipeline, in the journal's keys: change it with the pipeline. @default "1" */
  readonly version?: string;
  /** Before another attempt: a random time up to this, then up to twice this, and so on. @default 1_000 */
  readonly baseMs?: number;
  /** @default 60_000 */
  readonly maxMs?: number;
  /** `"handoff"`: it is enough that outputs and dead letters are in the memory of this process. @default "confirmed" */
  readonly ackOn?: "confirmed" | "handoff";
  readonly onEvent?: (event: WorkerEvent) => void;
  /** Hears of the runs and their stages. */
  readonly observe?: Observer;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number;
}

/** The same, complete and checked. */
export interface Settings {
  readonly queue: Queue;
  readonly processor: Processor;
  readonly sink: Sink;
  readonly signal: AbortSignal | undefined;
  readonly concurrency: number;
  readonly maxInFlight: number;
  readonly ordering: Ordering;
  readonly deadLetter: DeadLetters | undefined;
  readonly maxDeliveries: number;
  readonly errorBudget: Required<ErrorBudget> | undefined;
  readonly outageMs: number;
  readonly batch: Required<DeliveryBatch> | undefined;
  readonly deliveryTimeoutMs: number | undefined;
  readonly journal: Journal | undefined;
  readonly version: string;
  readonly baseMs: number;
  readonly maxMs: number;
  readonly tell: Tell;
  readonly observe: Observer | undefined;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Refuses what is out of range (`invalid_input`) and what is unsafe (`missing_config`). */
export function checked(queue: Queue, processor: Processor, sinks: SinkLike | readonly SinkLike[] | undefined, options: ConsumeOptions): Settings {
  requireQueue(who, queue);
  if (typeof processor !== "function") throw invalidOption(who, "processor", "a processor", processor);
  const { ordering = "none", deadLetter, journal, version = "1", ackOn = "confirmed", signal, observe, clock = systemClock, random = Math.random } = options;
  if (!["none", "key", "strict"].includes(ordering)) throw invalidOption(who, "ordering", '"none", "key" or "strict"', ordering);
  if (ackOn !== "confirmed" && ackOn !== "handoff") throw invalidOption(who, "ackOn", '"confirmed" or "handoff"', ackOn);
  if (typeof version !== "string") throw invalidOption(who, "version", "a string", version);
  const concurrency = wholeNumber(who, "concurrency", options.concurrency ?? 1, 1);
  const batch = batchOf(options.batch);
  const maxInFlight = wholeNumber(who, "maxInFlight", options.maxInFlight ?? concurrency * Math.max(2, batch?.count ?? 0), 1);
  const baseMs = wholeNumber(who, "baseMs", options.baseMs ?? 1_000, 0);
  const maxMs = wholeNumber(who, "maxMs", options.maxMs ?? 60_000, 0);
  const maxDeliveries = wholeNumber(who, "maxDeliveries", options.maxDeliveries ?? 5, 1);
  const outageMs = options.outageMs === Infinity ? Infinity : wholeNumber(who, "outageMs", options.outageMs ?? 600_000, 0);
  const deliveryTimeoutMs = options.deliveryTimeoutMs === undefined ? undefined : wholeNumber(who, "deliveryTimeoutMs", options.deliveryTimeoutMs, 1);
  if (deadLetter !== undefined && typeof deadLetter !== "function") requireQueue(who, deadLetter, "deadLetter");
  const sink = sinks === undefined ? nowhere : sinkOf(who, sinks);

  const atMostOnce = queue.guarantee === "at-most-once";
  const targets = [...(sinks === undefined ? [] : queuesIn(sinks)), ...(typeof deadLetter === "object" ? [deadLetter] : [])];
  const passing = targets.find((target) => !target.durable);
  refuse(atMostOnce && deadLetter !== undefined, `deadLetter: ${queue.service} delivers at most once, what is lost there reaches no dead letters`);
  refuse(atMostOnce && options.maxDeliveries !== undefined, `maxDeliveries: ${queue.service} delivers at most once`);
  refuse(typeof deadLetter === "object" && deadLetter.guarantee !== "at-least-once", "deadLetter: the queue confirms nothing; what it loses would be acknowledged");
  refuse(ackOn !== "handoff" && queue.durable && passing !== undefined, `${passing?.service}: outputs and dead letters in it end with this process, and would be acknowledged; say ackOn: "handoff" if they may`);
  refuse(maxInFlight < concurrency, `maxInFlight (${maxInFlight}) is less than concurrency (${concurrency}), which could never be reached`);
  refuse(ordering === "key" && queue.lacks.keys !== undefined, `ordering "key": ${queue.service} has no keys: ${queue.lacks.keys ?? ""}`);
  if (sink.settles !== undefined) {
    const { service, name } = sink.settles;
    refuse(service !== queue.service || name !== queue.name, `sink: its transactions settle deliveries of ${service} ${name}, not of ${queue.service} ${queue.name}`);
    // a log is committed up to a place: what is done before its turn would be in the transaction, and what it comes from not
    refuse(ordering !== "strict", `sink: its transactions settle deliveries in the order of the queue: say ordering: "strict", and work on several at once in a batch`);
  }
  if (batch !== undefined) {
    refuse(batch.count > maxInFlight, `batch.count (${batch.count}) is more than maxInFlight (${maxInFlight}): the batch would wait for messages that do not come`);
    const { leaseMs = Infinity, lacks, service } = queue;
    const tooLong = batch.maxWaitMs >= leaseMs / 2 && lacks.extend !== undefined;
    refuse(tooLong, `batch.maxWaitMs (${batch.maxWaitMs}) is half of the lease (${leaseMs}) or more, and ${service} cannot prolong leases: ${lacks.extend ?? ""}`);
    refuse(sink.atomic !== undefined && sink.settles === undefined, "batch: an atomic sink takes one delivery at a time");
    refuse(journal !== undefined, "batch: a journal is of one delivery; the next attempt may be made in another batch");
  }
  return {
    queue,
    processor,
    sink,
    signal,
    concurrency,
    maxInFlight,
    ordering,
    deadLetter,
    maxDeliveries,
    batch,
    deliveryTimeoutMs,
    journal,
    version,
    baseMs,
    maxMs,
    observe,
    clock,
    random,
    errorBudget: budgetOf(who, options.errorBudget ?? {}),
    outageMs,
    tell: telling(options.onEvent),
  };
}

const nowhere: Sink = { guarantee: "confirmed", write: () => Promise.resolve() };

function refuse(unsafe: boolean, why: string): void {
  if (unsafe) throw new MillraceError("missing_config", `${who}: ${why}`);
}

function batchOf(batch: DeliveryBatch | undefined): Required<DeliveryBatch> | undefined {
  if (batch === undefined) return undefined;
  return {
    count: wholeNumber(who, "batch.count", batch.count, 1),
    bytes: batch.bytes === undefined ? Infinity : wholeNumber(who, "batch.bytes", batch.bytes, 1),
    maxWaitMs: wholeNumber(who, "batch.maxWaitMs", batch.maxWaitMs ?? 1_000, 1),
  };
}
