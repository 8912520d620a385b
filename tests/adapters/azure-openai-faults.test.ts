import { apis } from "./azure-openai/support.ts";
import { modelFaults } from "./model-faults.ts";
import { answerFaults, faultyApi, streamFaults } from "./openai/faults.ts";

for (const api of apis) modelFaults(faultyApi(api, "azure-openai"), streamFaults, answerFaults);
