/**
 * Restate, a durable execution engine: server 1.4 or newer, seen on 1.7.
 *
 * Kind: none; a pipeline whose stages run on any number of workers. SDK: `@restatedev/restate-sdk` 1 (optional peer, loaded by workers
 * alone; MIT). The server's licence is BSL 1.1: it may not be offered to others as a service.
 * Source: https://docs.restate.dev/references/architecture and what its server does when it is killed.
 *
 * @module
 */
import type { Input } from "../../core/content.ts";
import { invalidOption, wholeNumber } from "../../core/errors.ts";
import type { PartStream } from "../../core/part-stream.ts";
import type { Context, Processor } from "../../core/processor.ts";
import { run } from "../../core/run.ts";
import type { RunOptions } from "../../core/scope.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { lazyClient } from "../../wire/sdk.ts";
import { driven, drivenHere } from "./drive.ts";
import type { RestateSdk } from "./handlers.ts";
import { ingress } from "./ingress.ts";
import { checkedOptions, checkedRunId, checkedUrl, type RestateOptions } from "./options.ts";
import { type DurableWorker, type ServeOptions, serveWorker } from "./serve.ts";

export type { RestateOptions } from "./options.ts";
export type { DurableWorker, ServeOptions } from "./serve.ts";
export { type DurableStage, keyed, perBatch } from "./stages.ts";
export { type DurableBatch, durableBatch } from "./step.ts";

/** What a durable run is told. */
export interface DurableRunOptions extends RunOptions {
  /** Names the run: with the id, input, key and batch of one that was broken off, it is taken up again. @default a new one */
  readonly id?: string;
}

/** A pipeline that outlives its processes. */
export interface Durable extends AsyncDisposable {
  /** Sends an input through the workers; results come back in the order of the input. */
  run(input: Input, options?: DurableRunOptions): PartStream;
  /** The same as a stage of another pipeline; `id` may be made of the context: that of a delivery, say. */
  processor(options?: { readonly id?: string | ((context: Context) => string) }): Processor;
  /** The same batches, keys and steps in this process, without the engine: nothing is recorded. */
  readonly local: Processor;
  /** Makes this process a worker. */
  serve(options?: ServeOptions): Promise<DurableWorker>;
  /**
   * Tells the engine where workers are, by an address that it can reach; once, not for each worker behind it. Waits for an engine that is
   * out of reach or answers 502, 503 or 504, as at its start: asked again twice a second, for `awayMs`.
   *
   * Throws: `unavailable` after that; at once what the engine answers, which is `unavailable` too, with `status` 500 and its words, when it
   * cannot reach the worker: that must listen before.
   */
  deploy(workerUrl: string, options?: { readonly force?: boolean; readonly signal?: AbortSignal }): Promise<void>;
  /** Runs in progress end with `closed`, their batches are cancelled, workers stop. */
  close(): Promise<void>;
}

const service = "restate";

/**
 * Runs a pipeline durably: its input in numbered batches, each stage of a batch a step that the engine records, on any number of workers.
 *
 * What maps onto this is refused at construction or not at all: stages that work part by part, as all of `each` do; processors that
 * `perBatch` says may be run anew over each batch; with `key`, processors that `keyed` says keep no more than a value for each key. What
 * counts, gathers or joins over the whole stream stays before or behind the durable stages.
 *
 * Reads:  every part, encoded as JSON (metadata must be). A batch is sent when it is full, or the input has ended.
 * Yields: what the last stage makes, batch by batch in the order of the input; with `key`, parts of one key in their order, and within
 *         `batch` parts in a row key by key. `status` and `debug` parts of stages come with their batch.
 * Throws: `invalid_input` at construction for stages that do not map; the errors of stages, with their code (foreign ones as
 *         `bad_response`), in their place in the order, those that are `retryable` after `attempts` tries; `too_large` for a part or a
 *         result above `maxBytes`; `not_found` when no worker was deployed; `unavailable` when the engine is away for longer than
 *         `awayMs`, `interrupted` when somebody cancelled a batch, `conflict` when the id was used with another input.
 * Closes: batches that are out when a run is left or aborted are cancelled, also in the stage at work; `close()` waits for that. The
 *         batches of a process that was killed go on: the same id takes the run up again, and what was done is not done twice.
 *
 * A step is run once, unless its worker or the engine died in it: then again. What it does outside carries `durableBatch(context).id`.
 * Workers whose stages have changed get a new address, so that batches in progress end where they began.
 *
 * @example
 * const shout = restate({ name: "shout", stages: [each((part) => (isText(part) ? part.text.toUpperCase() : part))] });
 * await using worker = await shout.serve(); // in as many processes as you like
 * await shout.deploy(worker.url);
 * console.log(await shout.run(["a", "b"], { id: "letters-1" }).text()); // AB
 */
export function restate(options: RestateOptions): Durable {
  const { pipeline, address, adminUrl, cut, ahead } = checkedOptions(service, options);
  const { allowHttp = false } = options;
  const sdk = lazyClient<RestateSdk>({ service, install: "@restatedev/restate-sdk@^1.17", open: () => import("@restatedev/restate-sdk/node") });
  const engine = ingress(address);
  const behind = new Set<Promise<unknown>>();
  const workers = new Set<DurableWorker>();
  const life = lifetime(service, async () => {
    // Calls that hear of the end in this turn still have to say what is to be cancelled, and it takes a worker to cancel it.
    await new Promise((resolve) => setTimeout(resolve));
    await Promise.all(behind);
    await Promise.all([...workers].map((worker) => worker.close()));
    await sdk.close();
  });
  const driver = (id: string): Processor => driven({ pipeline: pipeline.name, ingress: engine, cut: { ...cut, run: id }, ahead, life, behind });
  const within = async <T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const call = life.begin(signal);
    try {
      call.signal.throwIfAborted();
      return await work(call.signal);
    } finally {
      call.leave();
    }
  };

  return {
    run(input, { id = crypto.randomUUID(), ...rest } = {}) {
      return run(driver(checkedRunId(service, id)), input, rest);
    },
    processor({ id } = {}) {
      if (id !== undefined && typeof id !== "function") checkedRunId(service, id);
      return function restate(input, context) {
        if (typeof id === "function" && context === undefined) throw invalidOption(service, "id", "a text outside a run", id);
        const own = typeof id === "function" && context !== undefined ? id(context) : (id ?? crypto.randomUUID());
        return driver(checkedRunId(service, own))(input, context);
      };
    },
    local: function restateHere(input, context) {
      return drivenHere({ ...cut, run: crypto.randomUUID() }, pipeline.stages)(input, context);
    },
    async serve(where = {}) {
      wholeNumber(service, "port", where.port ?? 0, 0, 65_535);
      wholeNumber(service, "graceMs", where.graceMs ?? 0, 0);
      return within(undefined, async (signal) => {
        const worker = await serveWorker(await sdk.get(signal), pipeline, where);
        workers.add(worker);
        if (!signal.aborted) return worker;
        await worker.close();
        throw signal.reason;
      });
    },
    async deploy(workerUrl, { force = false, signal } = {}) {
      // what the engine asks is its network, not ours
      const url = checkedUrl(service, "workerUrl", workerUrl, true);
      await within(signal, (stop) => engine.deploy(checkedUrl(service, "adminUrl", adminUrl, allowHttp), url, force, stop));
    },
    close: life.close,
    [Symbol.asyncDispose]: life.close,
  };
}
