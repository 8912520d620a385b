import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["millrace-source", "node", "import", "default"] },
  ssr: { resolve: { conditions: ["millrace-source", "node", "import", "default"] } },
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: ["**/node_modules/**"],
    dangerouslyIgnoreUnhandledErrors: false,
  },
});
