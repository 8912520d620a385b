import { answerFaults, api, streamFaults } from "./anthropic/faults.ts";
import { modelFaults } from "./model-faults.ts";

modelFaults(api, streamFaults, answerFaults);
