import { qdrant } from "../../src/adapters/qdrant/index.ts";
import { key, vectorStoreFaults } from "./vector-store-faults.ts";
import { qdrantStandIn, refusal } from "./qdrant/stand-in.ts";

vectorStoreFaults({
  name: "qdrant",
  service: "qdrant",
  server: () => qdrantStandIn({ apiKey: key }),
  store: (baseUrl, options) => qdrant({ collection: "notes", dimensions: 3, apiKey: key, baseUrl, filterFields: {}, ...options }),
  refusal,
  retryAfterMs: 2_000,
});
