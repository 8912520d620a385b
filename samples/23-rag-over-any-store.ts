// Answers from your own documents, with where they are from, over any vector store: the line `const store` says which. Documents that
// changed are stored anew, those that are gone are deleted, and what an answer is made of is diverse rather than the same thing thrice.
//
// prints: stored notes.md#0, notes.md#1, trains.md#0
// prints: Q: When do we leave? A: We leave on Tuesday at nine. [notes.md]
// prints: Q: Which train do we take? A: The train to Bern leaves from platform four. [trains.md]
// prints: changed: notes.md; Q: When do we leave? A: We leave on Wednesday at ten. [notes.md]
import { isText, type Part, pipe, type Processor, remember, retrieve, run, splitText, text, type VectorStore } from "millrace";
import { chroma } from "millrace/adapters/chroma";
import { faiss } from "millrace/adapters/faiss";
import { localEmbedder } from "millrace/adapters/local-embedder";
import { memoryVectorStore } from "millrace/adapters/memory";
import { pgvector } from "millrace/adapters/pgvector";
import { pinecone } from "millrace/adapters/pinecone";
import { qdrant } from "millrace/adapters/qdrant";
import { weaviate } from "millrace/adapters/weaviate";
import { mockModel } from "millrace/testing";

const embedder = localEmbedder();
const { dimensions } = embedder;

// Each opens at its first call, so naming them all costs nothing.
const stores = {
  memory: (): VectorStore => memoryVectorStore({ dimensions }),
  faiss: (): VectorStore => faiss({ dimensions, path: "notes.faiss" }),
  pgvector: (): VectorStore => pgvector({ dimensions, table: "notes", connectionString: process.env.DATABASE_URL ?? "postgres://localhost/notes" }),
  qdrant: (): VectorStore => qdrant({ dimensions, collection: "notes" }),
  chroma: (): VectorStore => chroma({ dimensions, collection: "notes" }),
  weaviate: (): VectorStore => weaviate({ dimensions, collection: "Notes" }),
  pinecone: (): VectorStore => pinecone({ dimensions, index: "notes", create: { cloud: "aws", region: "us-east-1" } }),
};

const store = stores.memory();
await store.setup();

// In place of `openai({ model: "gpt-5-mini" })`: it repeats the first thing that was found, and cites it.
const model = mockModel(({ input }) => {
  const [first] = input.filter(({ metadata }) => metadata.match !== undefined);
  return first !== undefined && isText(first) ? `${first.text.trim()} [${String(first.metadata.source)}]` : "I do not know.";
});

const ingest = pipe(splitText({ size: 45 }), remember(store, embedder, { removeMissing: true }));
const answer: Processor = pipe(retrieve(store, embedder, { limit: 3, minScore: 0.2, diversity: { lambda: 0.7 } }), model);

const document = (source: string, words: string): Part => text(words, { metadata: { source } });
const trains = document("trains.md", "The train to Bern leaves from platform four.");

const stored = await run(ingest, [document("notes.md", "We leave on Tuesday at nine. The soup at the inn was too salty."), trains]).collect();
console.log("stored", stored.map((part) => placeOf(part)).join(", "));
for (const question of ["When do we leave?", "Which train do we take?"]) console.log("Q:", question, "A:", await run(answer, question).text());

const again = await run(ingest, [document("notes.md", "We leave on Wednesday at ten."), trains]).collect();
const changed = again.filter(({ metadata }) => (metadata.stored as { changed: boolean }).changed);
console.log(`changed: ${changed.map(({ metadata }) => metadata.source).join(", ")}; Q: When do we leave? A: ${await run(answer, "When do we leave?").text()}`);

await store.close();
await embedder.close();

/** The source of a chunk and its place in it: what an id of it ends with. */
function placeOf({ metadata: { stored } }: Part): string {
  const { id, source } = stored as { id: string; source: string };
  return `${source}#${id.split("-").at(-1)}`;
}
