import { describe, it } from "vitest";
import { wireModelBench } from "../../src/testing/contracts/model-bench.ts";
import { modelContract } from "../../src/testing/contracts/model.ts";
import { jsonAnswer, sseAnswer } from "../../src/testing/wire-answers.ts";
import { before, frames, key, modelAt } from "./anthropic/support.ts";

modelContract({ describe, it }, {
  name: "anthropic",
  service: "anthropic",
  apiKey: key,
  open: () =>
    wireModelBench({
      model: (url) => modelAt(url),
      answer: (deltas) => sseAnswer(frames(deltas)),
      framesBefore: before,
      refusal: (message) => jsonAnswer({ type: "error", error: { type: "authentication_error", message }, request_id: "req_1" }, { status: 401 }),
      apiKey: key,
    }),
});
