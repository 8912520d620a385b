import { modelFaults } from "./model-faults.ts";
import { answerFaults, faultyApi, streamFaultsOf } from "./openai/faults.ts";
import { apis } from "./openai/support.ts";

for (const api of apis) modelFaults(faultyApi(api), streamFaultsOf(api), answerFaults);
