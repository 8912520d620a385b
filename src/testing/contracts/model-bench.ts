/**
 * A model with a service behind it that answers as a test says: what the contract of models works on.
 *
 * @module
 */
import type { Model } from "../../kinds/model.ts";
import { type WireAnswer, wireServer } from "../wire-server.ts";

/** One answer of the service. */
export interface ModelAnswer {
  /** Its text, in the pieces that it comes in. */
  readonly deltas: readonly string[];
  /**
   * What comes after them. `"end"`: what the service ends a whole answer with; `"truncate"`: nothing, the answer ends as if it
   * were whole; `"half"`: half of an event, then the same; `"stall"`: nothing, and the answer does not end; `"silence"`: nothing
   * comes at all; `"refuse"`: instead of an answer an error that means `unauthorized` and quotes the key and the prompt.
   */
  readonly then: "end" | "truncate" | "half" | "stall" | "silence" | "refuse";
}

/** What the model asked. */
export interface ModelRequest {
  /** All that was sent, as text. */
  readonly body: string;
  /** The model has let go of the answer: its connection is closed. */
  readonly closed: Promise<void>;
}

/** A model and its service. */
export interface ModelBench extends AsyncDisposable {
  readonly model: Model;
  readonly requests: readonly ModelRequest[];
  /** The answers to the next requests, one each. */
  script(...answers: readonly ModelAnswer[]): void;
  /** The request of this number, from 0, when it has come and been answered as far as the answer goes. */
  answered(index: number): Promise<ModelRequest>;
}

/** What is special about a service that speaks HTTP. */
export interface WireModel {
  /** Makes the model, which asks the service at this address, without a path. */
  model(url: string): Promise<Model> | Model;
  /** A whole answer: one frame a delta, with frames before and after them. */
  answer(deltas: readonly string[]): WireAnswer;
  /** Frames of an answer before the first delta. */
  readonly framesBefore: number;
  /** An error that means `unauthorized`, with these words in its message. */
  refusal(words: string): WireAnswer;
  /** The key that the model was made with. */
  readonly apiKey: string;
}

/**
 * A bench on a server on loopback.
 *
 * @example
 * const apiKey = "key-of-the-test";
 * await using bench = await wireModelBench({
 *   model: (url) => openaiChat({ model: "m", baseUrl: url, apiKey }),
 *   answer: (deltas) => sseAnswer(chatFrames(deltas.map((words) => ({ choices: [{ index: 0, delta: { content: words } }] })))),
 *   framesBefore: 0,
 *   refusal: (message) => errorAnswer(401, { message }),
 *   apiKey,
 * });
 * bench.script({ deltas: ["a", "b"], then: "truncate" });
 * await run(bench.model, "Hi").text().catch((error: MillraceError) => console.log(error.code)); // interrupted
 */
export async function wireModelBench({ model, answer, framesBefore, refusal, apiKey }: WireModel): Promise<ModelBench> {
  const server = await wireServer();
  const scriptOf = ({ deltas, then }: ModelAnswer): WireAnswer => {
    // with a delta more, so that half of an event is half of one that would bring content
    const whole = answer(then === "half" ? [...deltas, "more of it"] : deltas);
    const after = framesBefore + deltas.length;
    switch (then) {
      case "end":
      case "refuse":
        return whole;
      case "truncate":
        return { ...whole, fault: { kind: "truncate", after } };
      case "half":
        return { ...whole, fault: { kind: "truncate", after, inside: true } };
      case "stall":
        return { ...whole, fault: { kind: "stall", after } };
      case "silence":
        return { ...whole, fault: { kind: "stall", after: "nothing" } };
    }
  };
  const close = (): Promise<void> => server.close();
  return {
    model: await model(server.url),
    requests: server.requests,
    script(...answers) {
      server.script(...answers.map((it) => (it.then === "refuse" ? ({ body }: { readonly body: string }) => refusal(`bad key ${apiKey} for ${body}`) : scriptOf(it))));
    },
    async answered(index) {
      const request = server.requests[index] ?? (await server.nextRequest(index - server.requests.length + 1));
      await request.answered;
      return request;
    },
    [Symbol.asyncDispose]: close,
  };
}
