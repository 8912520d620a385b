import { apis } from "./azure-openai/support.ts";
import { modelFaults } from "./model-faults.ts";
import { answerFaults, faultyApi, streamFaultsOf } from "./openai/faults.ts";

for (const api of apis) modelFaults(faultyApi(api, "azure-openai"), streamFaultsOf(api), answerFaults);
