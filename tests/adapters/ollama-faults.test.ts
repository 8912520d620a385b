import { modelFaults } from "./model-faults.ts";
import { answerFaults, api, streamFaults } from "./ollama/support.ts";

modelFaults(api, streamFaults, answerFaults);
