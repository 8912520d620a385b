/**
 * Pipelines that a test and its worker processes share.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Durable, durableBatch, keyed, perBatch, restate, type RestateOptions } from "../../../src/adapters/restate/index.ts";
import { derive, isText, json, type Part, type Processor } from "../../../src/index.ts";

/** What a worker process is told. */
export interface Told {
  readonly kind: "plain" | "keyed";
  readonly name: string;
  readonly baseUrl: string;
  readonly adminUrl: string;
  /** A line for each batch that a step begins: `2-slow 7 4711`, with the process id. */
  readonly ledger: string;
  /** Milliseconds that the second step takes. */
  readonly ms: number;
}

export const batchSize = 5;

/** Writes down that a step begins a batch. */
function noted(step: string, ledger: string, processor: Processor): Processor {
  return async function* note(input, context) {
    const batch = context === undefined ? undefined : durableBatch(context);
    if (batch !== undefined) appendFileSync(ledger, `${step} ${batch.seq} ${process.pid}\n`);
    yield* processor(input, context);
  };
}

const upper: Processor = async function* (input) {
  for await (const part of input) yield isText(part) ? derive(part, { text: part.text.toUpperCase() }) : part;
};

/** The account that a text begins with: `a:17`. */
export const accountOf = (part: Part): string => (isText(part) ? (part.text.split(":")[0] ?? "") : "");

const running: Processor = async function* (input, context) {
  const batch = context === undefined ? undefined : durableBatch(context);
  let count = Number(batch?.get() ?? 0);
  for await (const part of input) {
    count += 1;
    yield json({ text: isText(part) ? part.text : "", count });
  }
  batch?.set(count);
};

/** A pipeline whose steps write down what they do. */
export function pipelineOf({ kind, name, baseUrl, adminUrl, ledger, ms }: Told, more: Partial<RestateOptions> = {}): Durable {
  const slow: Processor = async function* (input, context) {
    await sleep(ms, undefined, context === undefined ? {} : { signal: context.signal });
    yield* kind === "keyed" ? running(input, context) : upper(input, context);
  };
  const first = perBatch(noted("1-first", ledger, async function* (input) {
    yield* input;
  }));
  const second = noted("2-slow", ledger, slow);
  return restate({
    name,
    baseUrl,
    adminUrl,
    batch: batchSize,
    stages: [first, kind === "keyed" ? keyed(second) : perBatch(second)],
    ...(kind === "keyed" ? { key: accountOf } : {}),
    ...more,
  });
}
