// A semantic cache: a question that means the same as an earlier one gets that one's answer, without a call of the model. The floor says
// what "the same" is: too low, and people get answers to other questions. What must not mix, such as tenants, is kept in namespaces.
//
// prints: How long does a refund take? Fourteen days.
// prints: How many days do refunds take? Fourteen days. (as: How long does a refund take?)
// prints: How long does delivery take? Two days.
// prints: Another tenant: Sixty days.
// prints: calls of the model: 3
import { each, type Embedder, isFinish, isText, type Processor, remember, retrieve, run, text, type VectorStore } from "millrace";
import { localEmbedder } from "millrace/adapters/local-embedder";
import { memoryVectorStore } from "millrace/adapters/memory";
import { mockModel } from "millrace/testing";

/** Answers each question from the store if it can, else by the model, whose complete answers are kept for the next time. */
function semanticCache(model: Processor, store: VectorStore, embedder: Embedder, { minScore, namespace }: { readonly minScore: number; readonly namespace: string }): Processor {
  const nearest = retrieve(store, embedder, { limit: 1, minScore, namespace });
  const keep = remember(store, embedder, { namespace });
  return each(
    async function* (question, { signal }) {
      if (!isText(question)) return;
      const [found] = await run(nearest, question, { signal }).collect();
      if (found !== undefined && found !== question && isText(found)) {
        yield text(String(found.metadata.answer), { role: "assistant", metadata: { as: found.text } });
        return;
      }
      let answer = "";
      let complete = false;
      for await (const part of run(model, question, { signal })) {
        if (isText(part)) answer += part.text;
        if (isFinish(part)) complete = part.reason === "stop";
        yield part; // as it comes; it is kept once all of it was handed on
      }
      if (complete) await run(keep, text(question.text, { metadata: { source: question.text, answer } }), { signal }).collect();
    },
    { match: isText },
  );
}

const embedder = localEmbedder();
const store = memoryVectorStore();
// In place of `openai({ … })`.
const model = mockModel(({ text, turn }) => (text.includes("delivery") ? "Two days." : turn === 1 ? "Fourteen days." : "Sixty days."));

const acme = semanticCache(model, store, embedder, { minScore: 0.7, namespace: "acme" });
const globex = semanticCache(model, store, embedder, { minScore: 0.7, namespace: "globex" });
for (const question of ["How long does a refund take?", "How many days do refunds take?", "How long does delivery take?"]) {
  const parts = await run(acme, question).collect();
  const as = parts.find((part) => part.metadata.as !== undefined)?.metadata.as;
  console.log(question, parts.map((part) => (isText(part) ? part.text : "")).join("") + (as === undefined ? "" : ` (as: ${String(as)})`));
}
console.log("Another tenant:", await run(globex, "How long does a refund take?").text());
console.log("calls of the model:", model.calls.length);
await embedder.close();
await store.close();
