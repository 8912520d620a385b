import { modelBytes } from "./model-bytes.ts";
import { bytes } from "./ollama/support.ts";

modelBytes(bytes);
