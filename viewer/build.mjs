// Build the viewer into the one file that the package ships: an ES module, its style inside.
//   node build.mjs            write it
//   node build.mjs --check    exit 1 where the file that is there is another one
import { readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const target = new URL("../attnscope/report/viewer/viewer.js", import.meta.url);

const { outputFiles } = await build({
  entryPoints: ["src/main.tsx"],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "inline",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".css": "text" },
  write: false,
  absWorkingDir: new URL(".", import.meta.url).pathname,
});
// The file stands inside of pages: nothing in it may end a script element.
const text = outputFiles[0].text.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");

if (process.argv.includes("--check")) {
  const there = await readFile(target, "utf8").catch(() => "");
  if (there !== text) {
    console.error("attnscope/report/viewer/viewer.js is not what viewer/src builds; run: make viewer");
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
