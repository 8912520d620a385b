import { describe, it } from "vitest";
import { wireModelBench } from "../../src/testing/contracts/model-bench.ts";
import { modelContract } from "../../src/testing/contracts/model.ts";
import { errorAnswer, sseAnswer } from "../../src/testing/wire-answers.ts";
import { apis } from "./azure-openai/support.ts";
import { key } from "./openai/support.ts";

for (const api of apis) {
  modelContract({ describe, it }, {
    name: api.name,
    service: "azure-openai",
    apiKey: key,
    open: () =>
      wireModelBench({
        model: (url) => api.model(url),
        answer: (deltas) => sseAnswer(api.frames(deltas)),
        framesBefore: api.before,
        refusal: (words) => errorAnswer(401, { message: words, code: "401" }),
        apiKey: key,
      }),
  });
}
