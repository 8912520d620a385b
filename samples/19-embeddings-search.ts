// Search by meaning: texts become vectors, the nearest ones answer a question. The embedder works in this process and needs no key;
// `openaiEmbedder`, `geminiEmbedder` and `ollamaEmbedder` take its place in one line.
//
// prints: How do I get my money back? -> Refunds are paid within fourteen days.
// prints: On which days are you closed? -> We are closed on Sundays and public holidays.
import { pipe, remember, retrieve, run, text } from "millrace";
import { localEmbedder } from "millrace/adapters/local-embedder";
import { memoryVectorStore } from "millrace/adapters/memory";

const embedder = localEmbedder();
const store = memoryVectorStore();

const sentences = ["Refunds are paid within fourteen days.", "We are closed on Sundays and public holidays.", "Parcels leave our warehouse before noon."];
await run(
  remember(store, embedder),
  sentences.map((sentence, index) => text(sentence, { metadata: { source: `sentence-${index}` } })),
).collect();

for (const question of ["How do I get my money back?", "On which days are you closed?"]) {
  const [nearest] = await run(pipe(retrieve(store, embedder, { limit: 1 })), question).collect();
  console.log(question, "->", nearest?.kind === "text" ? nearest.text : nearest?.kind);
}
await embedder.close();
await store.close();
