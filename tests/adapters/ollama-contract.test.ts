import { describe, it } from "vitest";
import { wireModelBench } from "../../src/testing/contracts/model-bench.ts";
import { modelContract } from "../../src/testing/contracts/model.ts";
import { api } from "./ollama/support.ts";
import { key } from "./openai/support.ts";

modelContract({ describe, it }, {
  name: "ollama",
  service: "ollama",
  apiKey: key,
  open: () =>
    wireModelBench({
      model: (url) => api.model(url),
      answer: (deltas) => api.voice.answer(api.voice.frames(deltas)),
      framesBefore: api.voice.framesBefore,
      refusal: (words) => api.voice.refusal(401, words),
      apiKey: key,
    }),
});
