// Builds the page into dist/ (or the folder given): the same bytes for the same sources and lock file.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";

const out = process.argv[2] ?? "dist";
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const options = {
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  target: ["chrome123", "firefox121", "safari17.5"],
};
await build({
  ...options,
  entryPoints: ["src/main.tsx"],
  outfile: `${out}/app.js`,
  format: "iife",
  jsx: "automatic",
  jsxImportSource: "preact",
});
await build({ ...options, entryPoints: ["src/style.css"], outfile: `${out}/app.css` });
await copyFile("src/index.html", `${out}/index.html`);
await copyFile("src/icon.svg", `${out}/icon.svg`);
// Its license wants to go where the code goes.
await writeFile(`${out}/licenses.txt`, `Preact\n\n${await readFile("node_modules/preact/LICENSE", "utf8")}`);
