import { modelFaults } from "./model-faults.ts";
import { answerFaults, faultyApi, streamFaults } from "./openai/faults.ts";
import { apis } from "./openai/support.ts";

for (const api of apis) modelFaults(faultyApi(api), streamFaults, answerFaults);
