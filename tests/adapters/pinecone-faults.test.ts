import { pinecone } from "../../src/adapters/pinecone/index.ts";
import { key, vectorStoreFaults } from "./vector-store-faults.ts";
import { pineconeStandIn, refusal } from "./pinecone/stand-in.ts";

vectorStoreFaults({
  name: "pinecone",
  service: "pinecone",
  server: () => pineconeStandIn({ apiKey: key }),
  store: (baseUrl, options) => pinecone({ index: "notes", dimensions: 3, apiKey: key, baseUrl, create: { cloud: "aws", region: "us-east-1" }, ...options }),
  refusal,
  retryAfterMs: 2_000,
});
