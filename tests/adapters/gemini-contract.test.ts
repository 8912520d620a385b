import { describe, it } from "vitest";
import { geminiEmbedder } from "../../src/adapters/gemini/index.ts";
import { embedderContract } from "../../src/testing/contracts/embedder.ts";
import { wireModelBench } from "../../src/testing/contracts/model-bench.ts";
import { modelContract } from "../../src/testing/contracts/model.ts";
import { mockEmbedder } from "../../src/testing/mock-embedder.ts";
import { jsonAnswer, sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "./checked-server.ts";
import { because, before, errorAnswer, frames, key, model } from "./gemini/support.ts";

modelContract({ describe, it }, {
  name: "gemini",
  service: "gemini",
  apiKey: key,
  open: () =>
    wireModelBench({
      model: (url) => model(url),
      answer: (deltas) => sseAnswer(frames(deltas)),
      framesBefore: before,
      refusal: (message) => errorAnswer(400, { message, status: "INVALID_ARGUMENT", details: [because("API_KEY_INVALID")] }),
      apiKey: key,
    }),
});

interface EmbedBody {
  readonly requests: readonly { readonly content: { readonly parts: readonly { readonly text: string }[] } }[];
}

embedderContract({ describe, it }, {
  name: "geminiEmbedder",
  dimensions: 256,
  async open() {
    const vectors = mockEmbedder();
    const server = await wireServer({
      async answer(request) {
        const { requests } = request.json() as EmbedBody;
        const values = await vectors.embed(requests.map(({ content }) => content.parts.map(({ text }) => text).join("")));
        return jsonAnswer({ embeddings: values.map((vector) => ({ values: [...vector] })) });
      },
    });
    const embedder = geminiEmbedder({ model: "gemini-embedding-test", dimensions: 256, baseUrl: server.url, apiKey: key });
    const close = async (): Promise<void> => {
      await embedder.close();
      await server.close();
    };
    return { ...embedder, close, [Symbol.asyncDispose]: close };
  },
});
