// Build the viewer into the one file that the package ships: an ES module, its style inside.
//   node build.mjs            write it
//   node build.mjs --check    exit 1 where the file that is there is another one
import { createHash } from "node:crypto";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const here = new URL(".", import.meta.url);
const target = new URL("../attnscope/report/viewer/viewer.js", here);

/** A digest of all that the built file is made from: tests/viewer compares it without node. */
async function digestOfSources() {
  const inside = await readdir(new URL("src/", here), { recursive: true, withFileTypes: true });
  const sources = inside.filter((entry) => entry.isFile()).map((entry) => `${entry.parentPath}/${entry.name}`);
  const names = sources.map((path) => path.slice(here.pathname.length).replaceAll("//", "/"));
  const hash = createHash("sha256");
  for (const name of [...names, "build.mjs", "package-lock.json", "tsconfig.json"].sort()) {
    const bytes = await readFile(new URL(name, here));
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

/** The licences of the packages that went in: they ask to go along with every copy. */
async function licences(inputs) {
  const packages = Object.keys(inputs).map((path) => path.match(/^node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]);
  const texts = [];
  for (const folder of [...new Set(packages.filter(Boolean))].sort()) {
    const text = await readFile(new URL(`${folder}/LICENSE`, here), "utf8");
    texts.push(`/*! ${folder.slice("node_modules/".length)}\n${text.trim().replaceAll("*/", "* /")}\n*/\n`);
  }
  return texts.join("");
}

/** Styles are text in the built file: without comments and spaces. */
const styles = {
  name: "styles",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true, target: "es2022" });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

const { outputFiles, metafile } = await build({
  entryPoints: ["src/main.tsx"],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none", // licences() writes them whole
  jsx: "automatic",
  jsxImportSource: "preact",
  plugins: [styles],
  write: false,
  metafile: true,
  absWorkingDir: here.pathname,
});
// The file stands inside of pages: nothing in it may end a script element.
const body = ((await licences(metafile.inputs)) + outputFiles[0].text)
  .replaceAll("</script", "<\\/script")
  .replaceAll("<!--", "<\\!--");
const digest = createHash("sha256").update(body).digest("hex");
const text = `// The viewer of attnscope, built by \`make viewer\`. sources ${await digestOfSources()} body ${digest}\n${body}`;

if (process.argv.includes("--check")) {
  const there = await readFile(target, "utf8").catch(() => "");
  if (there !== text) {
    console.error("attnscope/report/viewer/viewer.js is not what viewer/src builds; run: make viewer");
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
