/** Answers of the embeddings endpoint, held against the client's own types. */
import type { CreateEmbeddingResponse } from "openai/resources/embeddings";

/** The answer with these vectors, as JSON numbers: servers of the same kind send those even where base64 was asked for. */
export const embeddings = (vectors: readonly unknown[]): CreateEmbeddingResponse => ({
  object: "list",
  data: vectors.map((embedding, index) => ({ object: "embedding", index, embedding: embedding as number[] })),
  model: "embed-test",
  usage: { prompt_tokens: 8, total_tokens: 8 },
});
