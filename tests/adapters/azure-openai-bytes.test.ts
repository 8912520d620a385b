import { apis } from "./azure-openai/support.ts";
import { modelBytes } from "./model-bytes.ts";
import { bytesApi } from "./openai/faults.ts";

// one is enough: the readers are those of openai, under its own tests
for (const api of apis.slice(0, 1)) modelBytes(bytesApi(api, "azure-openai"));
