import { describe, it } from "vitest";
import { aiSdk } from "../../src/adapters/ai-sdk/index.ts";
import { modelContract } from "../../src/testing/contracts/model.ts";
import type { ModelAnswer, ModelBench } from "../../src/testing/contracts/model-bench.ts";
import { answered, apiCallError, begun, scriptedModel, type Scripted } from "./ai-sdk/support.ts";
import { key } from "./openai/support.ts";

/** Answers of a model that is no service: half of an event is a call that has begun. */
function scriptOf({ deltas, then }: ModelAnswer): Scripted {
  switch (then) {
    case "end":
      return { parts: answered(deltas) };
    case "truncate":
      return { parts: begun(deltas) };
    case "half":
      return { parts: [...begun(deltas), { type: "tool-input-start", id: "call_1", toolName: "look_up" }, { type: "tool-input-delta", id: "call_1", delta: '{"dis' }] };
    case "stall":
      return { parts: begun(deltas), then: "stall" };
    case "silence":
      return { parts: [], refuses: "silence" };
    case "refuse":
      return { parts: [], refuses: { error: apiCallError(401, `bad key ${key} for What is the secret ingredient of grandmother's soup?`, { requestBodyValues: { key }, responseHeaders: { "x-key": key } }) } };
  }
}

function bench(): ModelBench {
  const scripted = scriptedModel();
  return {
    model: aiSdk(scripted),
    requests: scripted.asked,
    script: (...answers) => scripted.script(...answers.map(scriptOf)),
    async answered(index) {
      await scripted.taken(index + 1);
      return scripted.asked[index]!;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

modelContract({ describe, it }, { name: "ai-sdk", service: "ai-sdk", apiKey: key, open: bench });
