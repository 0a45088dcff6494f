// Builds what the package ships, and fails if it has become too large: node build.js [folder]

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { generateDtsBundle } from "dts-bundle-generator";
import { build } from "esbuild";

const LARGEST = 5000; // bytes, as a server sends it

const [folder = "../gatewright/static"] = process.argv.slice(2);
const script = join(folder, "gatewright.js");

await build({
  entryPoints: ["src/gatewright.ts"],
  outfile: script,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  sourcemap: "linked",
  // The map holds the sources. Their names must not depend on where it was built.
  sourceRoot: "framework/client-js",
  banner: { js: "// The client of gatewright, MIT license. Its sources are framework/client-js." },
});

const map = JSON.parse(readFileSync(`${script}.map`, "utf8"));
map.sources = map.sources.map((source) => source.replace(/^.*\/src\//, "src/"));
writeFileSync(`${script}.map`, `${JSON.stringify(map)}\n`);

const [types] = generateDtsBundle(
  [{ filePath: "src/gatewright.ts", output: { noBanner: true, exportReferencedTypes: false } }],
  { preferredConfigPath: "tsconfig.json" },
);
writeFileSync(join(folder, "gatewright.d.ts"), types);

const size = gzipSync(readFileSync(script), { level: 9 }).length;
console.log(`gatewright.js: ${size} bytes gzipped, of ${LARGEST}`);
process.exit(size > LARGEST ? 1 : 0);
