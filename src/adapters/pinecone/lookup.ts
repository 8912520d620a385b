/**
 * An index of Pinecone: where it is, whether it will do, and how it is made.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { isMillraceError, MillraceError, received } from "../../core/errors.ts";
import type { VectorMetric } from "../../kinds/vector-store.ts";
import { checkedBaseUrl } from "../../wire/endpoint.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { wordsOf } from "../../wire/json-shape.ts";
import type { Ask } from "../../wire/store-calls.ts";
import type { PineconeClient } from "./client.ts";

const service = "pinecone";

/** An index is ready within a minute or so: how often it is looked for, and how long. */
const readyEveryMs = 2_000;
const readyWithinMs = 300_000;

/** The service's words for metrics. */
const metrics: Readonly<Record<VectorMetric, string>> = { cosine: "cosine", dot: "dotproduct", l2: "euclidean" };

/** Where a serverless index is made. */
export interface Serverless {
  /** "aws", "gcp" or "azure". */
  readonly cloud: string;
  /** "us-east-1", … */
  readonly region: string;
}

/** What the options say of an index. */
export interface IndexShape {
  readonly index: string;
  readonly dimensions: number;
  readonly metric: VectorMetric;
  readonly host: string | undefined;
}

/** The index's address. Throws `not_found`, `unavailable` before it is ready, `conflict` where it holds other vectors. */
export async function lookUp(ask: Ask<PineconeClient>, wanted: IndexShape): Promise<string> {
  const address = await ready(ask, wanted);
  if (address !== undefined) return address;
  throw new MillraceError("unavailable", `${service}: the index ${received(wanted.index)} is not ready`, { service });
}

/** The same; an index is made where it is not there and `create` says where, and one that is not ready is waited for. */
export async function setUp(ask: Ask<PineconeClient>, wanted: IndexShape, create: Serverless | undefined, clock: Clock, signal: AbortSignal): Promise<string> {
  const untilMs = clock.now() + readyWithinMs;
  for (let isMade = false; ; ) {
    try {
      const address = await ready(ask, wanted);
      if (address !== undefined) return address;
    } catch (error) {
      if (create === undefined || !isMillraceError(error, "not_found")) throw error;
      if (!isMade) {
        await make(ask, wanted, create);
        isMade = true;
        continue;
      }
    }
    if (clock.now() >= untilMs) throw new MillraceError("timeout", `${service}: the index ${received(wanted.index)} is not ready after ${readyWithinMs} ms`, { service, phase: "total" });
    await clock.sleep(readyEveryMs, signal);
  }
}

/** Undefined: it is there, but not ready. */
async function ready(ask: Ask<PineconeClient>, wanted: IndexShape): Promise<string | undefined> {
  const { index, host } = wanted;
  const what = `look at ${received(index)}`;
  if (host !== undefined) {
    const address = addressOf(host);
    const stats = await ask({ what, send: (client) => client.index({ host: address }).describeIndexStats() });
    checkIndex(fieldOf(stats, "dimension"), undefined, wanted);
    return address;
  }
  const info = await ask({ what, send: (client) => client.indexes.describe(index) }).catch((error: unknown) => {
    if (!isMillraceError(error, "not_found")) throw error;
    const message = `${service}: there is no index ${received(index)}; setup() makes it where the option create says`;
    throw new MillraceError("not_found", message, { service, status: 404, scope: "dependency", cause: error });
  });
  if (fieldOf(fieldOf(info, "status"), "ready") !== true) return undefined;
  checkIndex(fieldOf(info, "dimension"), fieldOf(info, "metric"), wanted);
  return addressOf(wordsOf(fieldOf(info, "privateHost")) ?? wordsOf(fieldOf(info, "host")) ?? "");
}

async function make(ask: Ask<PineconeClient>, { index, dimensions, metric }: IndexShape, { cloud, region }: Serverless): Promise<void> {
  const made = { name: index, dimension: dimensions, metric: metrics[metric], spec: { serverless: { cloud, region } } };
  await ask({ what: `setup of ${received(index)}`, send: (client) => client.indexes.create(made) }).catch((error: unknown) => {
    if (!isMillraceError(error, "conflict")) throw error; // somebody else was first
  });
}

/** The client's getters throw where an index has several vector fields, or none: such an index holds other vectors too. */
function checkIndex(dimension: unknown, metric: unknown, { index, dimensions, metric: wanted, host }: IndexShape): void {
  if (dimension === dimensions && (host !== undefined || metric === metrics[wanted])) return;
  const by = host === undefined ? ` by ${String(metric)}` : "";
  const message = `${service}: ${received(index)} holds vectors of ${String(dimension)} dimensions${by}, the options say ${dimensions} by ${metrics[wanted]}`;
  throw new MillraceError("conflict", message, { service, scope: "process" });
}

/** The service says a name alone; the key goes there, so it is https, loopback aside. */
function addressOf(host: string): string {
  return checkedBaseUrl(service, /^https?:\/\//.test(host) ? host : `https://${host}`);
}
