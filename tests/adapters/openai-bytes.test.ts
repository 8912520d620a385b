import { modelBytes } from "./model-bytes.ts";
import { bytesApi } from "./openai/faults.ts";
import { apis } from "./openai/support.ts";

for (const api of apis) modelBytes(bytesApi(api));
