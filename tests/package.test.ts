import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly dependencies?: object;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly scripts: Readonly<Record<string, string>>;
};

describe("the manifest", () => {
  test("has one dependency", () => expect(Object.keys(manifest.dependencies ?? {})).toEqual(["p-limit"]));

  test("pins every development dependency to one version", () => {
    for (const [name, version] of Object.entries(manifest.devDependencies)) expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test("every peer is optional", () => {
    for (const name of Object.keys(manifest.peerDependencies ?? {})) expect(manifest.peerDependenciesMeta?.[name]?.optional, name).toBe(true);
  });

  test("runs nothing when it is installed", () => {
    expect(Object.keys(manifest.scripts).filter((name) => ["preinstall", "install", "postinstall", "prepare"].includes(name))).toEqual([]);
  });

  test("the lock file names no registry", () => {
    expect(readFileSync(join(root, "package-lock.json"), "utf8")).not.toContain('"resolved": "http');
  });
});

describe("the packed package", () => {
  let files: readonly string[] = [];
  beforeAll(() => {
    execFileSync(process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"], { cwd: root });
    const [packed] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" })) as [
      { readonly files: readonly { readonly path: string }[] },
    ];
    files = packed.files.map((file) => file.path);
  }, 60_000);

  test("holds the build, the sources, and the papers, nothing else", () => {
    const other = files.filter((file) => !/^(dist|src)\//.test(file));
    expect(other.toSorted()).toEqual(["CHANGELOG.md", "LICENSE", "README.md", "package.json"]);
    expect(files.filter((file) => /test|sample|bench/.test(file) && !/^(dist|src)\/testing\//.test(file))).toEqual([]);
  });

  test("has a build of every source, with its types", () => {
    const sources = files.filter((file) => file.startsWith("src/")).map((file) => file.slice(4, -3));
    for (const source of sources) {
      expect(files, source).toContain(`dist/${source}.js`);
      expect(files, source).toContain(`dist/${source}.d.ts`);
    }
  });

  test("an import of another source in the build ends in .js", () => {
    for (const file of readdirSync(join(root, "dist"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".js"))) {
      expect(readFileSync(join(root, "dist", file), "utf8"), file).not.toMatch(/from "\.[^"]*\.ts"/);
    }
  });
});

describe("every entry", () => {
  const adapters = readdirSync(join(root, "src", "adapters")).filter((name) => existsSync(join(root, "src", "adapters", name, "index.ts")));
  const entries = ["millrace", "millrace/kit", "millrace/testing", ...adapters.map((name) => `millrace/adapters/${name}`)];

  for (const entry of entries) {
    test(`${entry} loads without opening anything, and loads no package`, () => {
      const script = `
        const before = process.getActiveResourcesInfo().length;
        await import(${JSON.stringify(entry)});
        const opened = process.getActiveResourcesInfo().length - before;
        console.log(JSON.stringify({ opened, globals: Object.keys(globalThis).filter((name) => /millrace/i.test(name)) }));`;
      const out = execFileSync(
        process.execPath,
        ["--conditions=millrace-source", "--input-type=module", "--experimental-loader", `data:text/javascript,${encodeURIComponent(refusePackages)}`, "-e", script],
        { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
      );
      expect(JSON.parse(out)).toEqual({ opened: 0, globals: [] });
    });
  }

  test("an inner folder cannot be imported", () => {
    expect(() => import.meta.resolve("millrace/core/run")).toThrow();
    expect(() => import.meta.resolve("millrace/adapters/_inner")).toThrow();
  });
});

/** A loader that refuses every package but this one: an SDK that is loaded too early shows. */
const refusePackages = `
export async function resolve(specifier, context, next) {
  if (!/^(\\.|node:|data:|file:|millrace|p-limit$|yocto-queue$|#)/.test(specifier)) throw new Error("loads " + specifier);
  return next(specifier, context);
}`;
