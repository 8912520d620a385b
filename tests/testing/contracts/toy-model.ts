/** A model over a service that is an object of this process, right in all that the contract asks, or wrong in one thing. */
import { askedOf } from "../../../src/core/asked.ts";
import { finish, text } from "../../../src/core/constructors.ts";
import { isMillraceError, MillraceError } from "../../../src/core/errors.ts";
import type { Part } from "../../../src/core/part.ts";
import type { Context } from "../../../src/core/processor.ts";
import { type Model, modelOf } from "../../../src/kinds/model.ts";
import type { ModelAnswer, ModelBench, ModelRequest } from "../../../src/testing/contracts/model-bench.ts";
import { collect } from "../../../src/wire/collect.ts";
import { heard } from "../../../src/wire/heard.ts";
import { lifetime } from "../../../src/wire/lifetime.ts";
import { spokenParts } from "../../../src/wire/turn-input.ts";

export const apiKey = "toy-canary-0123456789";
const service = "toy";

export type ModelFlaw =
  | "asks-when-called"
  | "asks-for-nothing"
  | "text-so-far"
  | "whole-text"
  | "no-finish"
  | "finish-first"
  | "user-role"
  | "no-usage"
  | "changes-input"
  | "changes-output"
  | "odd-part"
  | "sends-all"
  | "forgets-asks"
  | "keeps-history"
  | "truncated-is-end"
  | "truncated-is-plain"
  | "retries"
  | "shows-key-in-error"
  | "shows-prompt-in-cause"
  | "shows-key-in-model"
  | "leaves-connection"
  | "deaf"
  | "own-abort-error"
  | "ends-on-abort"
  | "leaves-input"
  | "wraps-input-error"
  | "leaves-listener"
  | "close-ends-normally"
  | "works-when-closed"
  | "unheard-rejection";

type Event = { readonly delta: string } | { readonly usage: { readonly inputTokens: number; readonly outputTokens: number } } | { readonly half: true };

/** The service: as many answers as were scripted, one a request. */
class ToyService {
  readonly requests: ModelRequest[] = [];
  readonly scripts: ModelAnswer[] = [];
  private readonly waiting = new Map<number, (request: ModelRequest) => void>();

  async *ask(body: string, signal: AbortSignal): AsyncGenerator<Event, void, undefined> {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const request = { body, closed };
    this.waiting.get(this.requests.push(request) - 1)?.(request);
    const { deltas, then } = this.scripts.shift() ?? { deltas: [], then: "silence" };
    signal.addEventListener("abort", () => close(), { once: true });
    try {
      if (then === "refuse") throw new Error(`bad key ${apiKey} for ${body}`);
      for (const delta of deltas) yield { delta };
      if (then === "stall" || then === "silence") await new Promise(() => {}); // what waits for it hears the signal
      if (then === "half") yield { half: true };
      if (then === "end") yield { usage: { inputTokens: 3, outputTokens: deltas.length } };
    } finally {
      close();
    }
  }

  async answered(index: number): Promise<ModelRequest> {
    return this.requests[index] ?? new Promise((resolve) => this.waiting.set(index, resolve));
  }
}

export function toyBench(flaw?: ModelFlaw): ModelBench {
  const toy = new ToyService();
  return {
    model: toyModel(toy, flaw),
    requests: toy.requests,
    script: (...answers) => void toy.scripts.push(...answers),
    answered: (index) => toy.answered(index),
    [Symbol.asyncDispose]: async () => {},
  };
}

function toyModel(toy: ToyService, flaw: ModelFlaw | undefined): Model {
  const life = lifetime(service, async () => {});
  let history = "";

  async function* turn(input: AsyncIterable<Part>, context?: Context): AsyncGenerator<Part, void, undefined> {
    const signal = flaw === "deaf" ? undefined : context?.signal;
    signal?.throwIfAborted();
    const stop = new AbortController();
    const abort = (): void => stop.abort(flaw === "own-abort-error" ? new DOMException("aborted", "AbortError") : signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    let leave = (): void => {};
    let delivered = 0;
    let words = "";
    try {
      if (flaw !== "works-when-closed") leave = life.enter((reason) => stop.abort(reason));
      const parts = await reading(input, stop.signal);
      const said = flaw === "sends-all" ? parts : spokenParts(service, parts, "refuse", () => false).map(({ part }) => part);
      if (said.length === 0 && flaw !== "asks-for-nothing") return;
      if (flaw === "changes-input") for (const part of said) Object.assign(part, { role: "user" });
      const body = history + JSON.stringify(said) + (flaw === "forgets-asks" ? "" : JSON.stringify(askedOf(context)));
      if (flaw === "keeps-history") history = body;
      if (flaw === "unheard-rejection") void Promise.reject(new Error("nobody hears"));

      const events = toy.ask(body, stop.signal);
      if (flaw === "finish-first") yield end();
      try {
        for (;;) {
          const { done, value } = await heard(events.next(), stop.signal);
          if (done === true) {
            if (flaw === "truncated-is-end") return;
            throw new MillraceError("truncated", `${service}: the answer ends without its end`, { service });
          }
          if ("half" in value) continue;
          if ("usage" in value) {
            if (flaw === "whole-text") yield text(words, { role: "assistant" });
            if (flaw !== "no-finish" && flaw !== "finish-first") yield end(flaw === "no-usage" ? undefined : value.usage);
            return;
          }
          words += value.delta;
          delivered += 1;
          if (flaw === "whole-text") continue;
          const part = text(flaw === "text-so-far" ? words : value.delta, { role: flaw === "user-role" ? "user" : "assistant" });
          yield flaw === "odd-part" ? Object.assign(Object.create({ odd: true }) as object, part, { metadata: { at: new Date(0) } }) : part;
          if (flaw === "changes-output") Object.assign(part, { text: words });
        }
      } catch (error) {
        throw faultOf(error, stop.signal, { parts: delivered, text: words }, body);
      } finally {
        if (flaw !== "leaves-connection") stop.abort(stop.signal.reason);
      }
    } catch (error) {
      if (stop.signal.aborted && flaw === "ends-on-abort" && !isMillraceError(error)) return;
      if (flaw === "close-ends-normally" && isMillraceError(error, "closed")) return;
      throw error;
    } finally {
      if (flaw !== "leaves-listener") signal?.removeEventListener("abort", abort);
      leave();
    }
  }

  async function reading(input: AsyncIterable<Part>, signal: AbortSignal): Promise<readonly Part[]> {
    try {
      if (flaw !== "leaves-input") return await collect(input, signal);
      const iterator = input[Symbol.asyncIterator]();
      const parts: Part[] = [];
      for (let next = await heard(iterator.next(), signal); next.done !== true; next = await heard(iterator.next(), signal)) parts.push(next.value);
      return parts;
    } catch (error) {
      if (flaw !== "wraps-input-error" || signal.aborted) throw error;
      throw new MillraceError("bad_response", `${service}: no input`, { cause: error });
    }
  }

  function faultOf(error: unknown, signal: AbortSignal, partial: { parts: number; text: string }, body: string): unknown {
    if (signal.aborted) return signal.reason;
    if (!isMillraceError(error)) {
      const told = flaw === "shows-key-in-error" ? `: ${String(error)}` : "";
      return new MillraceError("unauthorized", `${service}: refused${told}`, { service, ...(flaw === "shows-prompt-in-cause" ? { cause: new Error(body) } : {}) });
    }
    if (flaw === "truncated-is-plain" || partial.parts === 0) return error;
    return new MillraceError("interrupted", `${service}: broke off after ${partial.parts} parts`, { service, partial, cause: error });
  }

  const end = (usage = { inputTokens: 0, outputTokens: 0 } as object | undefined): Part =>
    finish({ reason: "stop", rawReason: "stop", model: "toy-1", ...(usage === undefined || flaw === "no-usage" ? {} : { usage }) });

  const asking = (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part> => {
    if (flaw === "asks-when-called") toy.requests.unshift({ body: "", closed: Promise.resolve() });
    return flaw === "retries" ? retried(input, context) : turn(input, context);
  };
  async function* retried(input: AsyncIterable<Part>, context?: Context): AsyncGenerator<Part, void, undefined> {
    const parts = await collect(input, context?.signal ?? new AbortController().signal);
    const again = async function* (): AsyncGenerator<Part> {
      yield* parts;
    };
    try {
      yield* turn(again(), context);
    } catch (error) {
      if (!isMillraceError(error, "unauthorized")) throw error;
      yield* turn(again(), context);
    }
  }
  const model = modelOf(service, asking, life.close);
  return flaw === "shows-key-in-model" ? Object.assign(model, { settings: { apiKey } }) : model;
}
