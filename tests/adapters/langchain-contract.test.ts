import { describe, it } from "vitest";
import { langchain } from "../../src/adapters/langchain/index.ts";
import type { ModelAnswer, ModelBench } from "../../src/testing/contracts/model-bench.ts";
import { modelContract } from "../../src/testing/contracts/model.ts";
import { ending, piece, said, ScriptedChatModel, Service, type Step } from "./langchain/support.ts";
import { key } from "./openai/support.ts";

/** An error as the clients behind LangChain's models throw it. */
const refusal = (body: string): Error => Object.assign(new Error(`401 bad key ${key} for ${body}`), { status: 401, headers: {} });

function stepsOf({ deltas, then }: ModelAnswer, body: string): readonly Step[] {
  if (then === "refuse") return [refusal(body)];
  const before = said(...deltas);
  if (then === "end") return [...before, ending()];
  if (then === "half") return [...before, piece(0, '{"a"', { id: "c", name: "f" })];
  return then === "truncate" ? before : [...before, "stall"];
}

function open(): ModelBench {
  const service = new Service();
  return {
    model: langchain(new ScriptedChatModel(service)),
    requests: service.requests,
    script: (...answers) => void service.scripts.push(...answers.map((answer) => (body: string) => stepsOf(answer, body))),
    answered: (index) => service.answered(index),
    [Symbol.asyncDispose]: async () => {},
  };
}

modelContract({ describe, it }, { name: "langchain", service: "langchain", apiKey: key, open });
