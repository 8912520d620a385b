import { answerFaults, api, streamFaults } from "./gemini/faults.ts";
import { modelFaults } from "./model-faults.ts";

modelFaults(api, streamFaults, answerFaults);
